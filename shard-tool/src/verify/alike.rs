//! Samples that agree in a mark, such as a hash of the key: found among any number of them in bounded memory.
//!
//! The samples are gone through several times. Each pass looks at those marks that fall to it by their hash, about a million of
//! them, and so sees every group of equal marks whole.

use super::defect::SampleId;

/// About as many samples are held at a time, 16 bytes each.
const SAMPLES_PER_PASS: u64 = 1 << 20;

/// A sample and its mark.
pub(super) type Marked = (u64, SampleId);

/// Calls `visit` with the samples of each pass whose mark is not theirs alone, in order of marks and ids. `go_through` hands
/// every sample to the function that it is given; it is called once for each pass.
pub(super) fn in_bounded_memory(
    num_samples: u64,
    go_through: impl FnMut(&mut dyn FnMut(u64, SampleId)),
    visit: impl FnMut(Vec<Marked>),
) {
    in_passes(num_samples.div_ceil(SAMPLES_PER_PASS), go_through, visit);
}

fn in_passes(
    num_passes: u64,
    mut go_through: impl FnMut(&mut dyn FnMut(u64, SampleId)),
    mut visit: impl FnMut(Vec<Marked>),
) {
    for pass in 0..num_passes {
        let mut marked: Vec<Marked> = Vec::new();
        go_through(&mut |mark, id| {
            if pass_of(mark, num_passes) == pass {
                marked.push((mark, id));
            }
        });
        marked.sort_unstable();
        let groups = groups(&marked).filter(|group| group.len() > 1);
        visit(groups.flatten().copied().collect());
    }
}

/// The samples of each mark, where they are in order of marks.
pub(super) fn groups(marked: &[Marked]) -> impl Iterator<Item = &[Marked]> {
    marked.chunk_by(|left, right| left.0 == right.0)
}

/// Any bits of a mark may be those in which marks differ.
fn pass_of(mark: u64, num_passes: u64) -> u64 {
    (mark.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % num_passes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups among 3,000 samples, of which every hundredth has the mark of the one before.
    fn found(num_passes: u64) -> (Vec<Vec<Marked>>, usize) {
        let (mut found, mut most) = (Vec::new(), 0);
        let go_through = |take: &mut dyn FnMut(u64, SampleId)| {
            for entry in 0..3_000 {
                let mark = u64::from(entry - u32::from(entry % 100 == 99)) << 40;
                take(mark, SampleId { shard: 0, entry });
            }
        };
        in_passes(num_passes, go_through, |alike| {
            found.extend(groups(&alike).map(<[Marked]>::to_vec));
        });
        for pass in 0..num_passes {
            let of_pass = |mark: &u64| pass_of(mark << 40, num_passes) == pass;
            most = most.max((0..3_000).filter(of_pass).count());
        }
        found.sort();
        (found, most)
    }

    #[test]
    fn every_group_is_found_whatever_the_number_of_passes() {
        let (in_one, _) = found(1);
        assert_eq!(in_one.len(), 30);
        let pair = |(mark, id): Marked| (mark >> 40, id.entry);
        assert_eq!(
            in_one[0].iter().copied().map(pair).collect::<Vec<_>>(),
            [(98, 98), (98, 99)]
        );
        let (in_seven, most) = found(7);
        assert_eq!(in_seven, in_one);
        assert!(most < 900, "{most} of 3,000 in one of 7 passes");
    }
}
