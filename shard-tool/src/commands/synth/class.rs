//! The classes: every pair of a shape and a texture, in an order that varies both at once.

use super::shape::Shape;
use super::texture::Texture;

const NUM_SHAPES: u32 = Shape::ALL.len() as u32;
const NUM_TEXTURES: u32 = Texture::ALL.len() as u32;

/// How many different classes there are.
pub(crate) const MAX_CLASSES: u32 = NUM_SHAPES * NUM_TEXTURES;

/// One class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Class {
    number: u32,
}

impl Class {
    /// Class `number`, below [`MAX_CLASSES`].
    pub(super) fn new(number: u32) -> Self {
        debug_assert!(number < MAX_CLASSES);
        Self { number }
    }

    pub(super) fn number(self) -> u32 {
        self.number
    }

    pub(super) fn shape(self) -> Shape {
        Shape::ALL[(self.number % NUM_SHAPES) as usize]
    }

    pub(super) fn texture(self) -> Texture {
        let diagonal = self.number % NUM_SHAPES + self.number / NUM_SHAPES;
        Texture::ALL[(diagonal % NUM_TEXTURES) as usize]
    }

    /// Name of the class folder: `dotted-star`.
    pub(super) fn name(self) -> String {
        format!("{}-{}", self.texture().name(), self.shape().name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_classes_have_different_names() {
        let names: std::collections::BTreeSet<String> = (0..MAX_CLASSES)
            .map(|number| Class::new(number).name())
            .collect();
        assert_eq!(names.len(), MAX_CLASSES as usize);
    }

    #[test]
    fn the_first_classes_use_every_shape_and_every_texture() {
        let names: Vec<String> = (0..NUM_SHAPES)
            .map(|number| Class::new(number).name())
            .collect();
        assert!(
            Shape::ALL
                .iter()
                .all(|shape| names.iter().any(|name| name.ends_with(shape.name())))
        );
        assert!(
            Texture::ALL
                .iter()
                .all(|texture| names.iter().any(|name| name.starts_with(texture.name())))
        );
    }
}
