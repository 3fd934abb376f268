//! The latest embeddings of past batches, oldest out (SwAV section 5; He et al. 2020, section 3.2).

use tch::{Device, Kind, Tensor, no_grad};

/// A fixed number of rows; each push replaces the oldest.
#[derive(Debug)]
pub struct Queue {
    rows_ld: Tensor,
    /// Rows pushed since the start; on the host, so that asking costs no synchronisation.
    num_pushed: Tensor,
}

impl Queue {
    /// A queue of zeros for `length` rows of `dim` values.
    pub fn zeros(length: i64, dim: i64, device: Device) -> Queue {
        Queue {
            rows_ld: Tensor::zeros([length, dim], (Kind::Float, device)),
            num_pushed: Tensor::from(0i64),
        }
    }

    /// A queue of random rows of length 1.
    pub fn random_unit(length: i64, dim: i64, device: Device) -> Queue {
        let rows = Tensor::randn([length, dim], (Kind::Float, device));
        let norm = rows.norm_scalaropt_dim(2.0, [-1], true);
        Queue {
            rows_ld: rows / norm,
            num_pushed: Tensor::from(0i64),
        }
    }

    /// All rows, `[length, dim]`, in no order.
    pub fn rows(&self) -> &Tensor {
        &self.rows_ld
    }

    /// Whether every row has been pushed.
    pub fn is_full(&self) -> bool {
        self.num_pushed.int64_value(&[]) >= self.rows_ld.size()[0]
    }

    /// Puts `[b, dim]` in place of the oldest rows, of which there are as many or more. Where a run went on with another batch size, they may begin at the
    /// queue's end and go on at its start.
    pub fn push(&mut self, newest_bd: &Tensor) {
        let (length, b) = (self.rows_ld.size()[0], newest_bd.size()[0]);
        let at = self.num_pushed.int64_value(&[]) % length;
        let num_before_end = b.min(length - at);
        let num_after = b - num_before_end;
        no_grad(|| {
            let (first, rest) = (
                newest_bd.narrow(0, 0, num_before_end),
                newest_bd.narrow(0, num_before_end, num_after),
            );
            self.rows_ld.narrow(0, at, num_before_end).copy_(&first);
            self.rows_ld.narrow(0, 0, num_after).copy_(&rest);
        });
        self.num_pushed += b;
    }

    /// Handles to the state, called `<part>.rows` and `<part>.num_pushed`.
    pub fn named(&self, part: &str) -> [(String, Tensor); 2] {
        [
            (format!("{part}.rows"), self.rows_ld.shallow_clone()),
            (
                format!("{part}.num_pushed"),
                self.num_pushed.shallow_clone(),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_rows_go_first_and_a_queue_is_full_once_every_row_was_pushed() {
        let mut queue = Queue::zeros(4, 1, Device::Cpu);
        let rows = |queue: &Queue| Vec::<f64>::try_from(queue.rows().flatten(0, -1)).unwrap();
        for (first, wanted, is_full) in [
            (1.0, [1.0, 2.0, 0.0, 0.0], false),
            (3.0, [1.0, 2.0, 3.0, 4.0], true),
            (5.0, [5.0, 6.0, 3.0, 4.0], true),
        ] {
            queue.push(&Tensor::from_slice(&[first, first + 1.0]).unsqueeze(1));
            assert_eq!((rows(&queue), queue.is_full()), (wanted.to_vec(), is_full));
        }
        queue.push(&Tensor::from_slice(&[7.0, 8.0, 9.0]).unsqueeze(1));
        assert_eq!(rows(&queue), [9.0, 6.0, 7.0, 8.0], "around the end");
    }
}
