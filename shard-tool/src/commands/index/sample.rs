//! A sample while its members come in one after another.

use shard_format::members::Member;

/// Extensions that are taken for an image; what it is, its content tells.
const IMAGE_EXTENSIONS: [&str; 10] = [
    "jpg", "jpeg", "png", "ppm", "pgm", "bmp", "gif", "webp", "tif", "tiff",
];

/// Extensions of what may hold a label.
const LABEL_EXTENSIONS: [&str; 2] = ["cls", "json"];

/// The members with one key.
#[derive(Debug)]
pub(super) struct OpenSample<'a> {
    pub(super) key: String,
    /// Header offset of its first member, bytes.
    pub(super) offset: u64,
    /// Those that may be its image or label; hence a few at most.
    fields: Vec<Field<'a>>,
}

/// One member of a sample.
#[derive(Debug, Clone)]
pub(super) struct Field<'a> {
    /// What follows the key, in small letters.
    extension: String,
    header_offset: u64,
    pub(super) data_offset: u64,
    pub(super) data: &'a [u8],
}

impl<'a> OpenSample<'a> {
    pub(super) fn new(key: &str, offset: u64) -> Self {
        Self {
            key: key.to_owned(),
            offset,
            fields: Vec::new(),
        }
    }

    /// Adds a member if it may be image or label, unless there is one of the same extension; then
    /// gives the offset of that.
    pub(super) fn add(&mut self, extension: &str, member: &Member<'a>) -> Result<(), u64> {
        let extension = extension.to_lowercase();
        if !is_image(&extension) && !LABEL_EXTENSIONS.contains(&extension.as_str()) {
            return Ok(());
        }
        let same = self
            .fields
            .iter()
            .find(|field| field.extension == extension);
        if let Some(first) = same {
            return Err(first.header_offset);
        }
        self.fields.push(Field {
            extension,
            header_offset: member.header_offset,
            data_offset: member.data_offset,
            data: member.data,
        });
        Ok(())
    }

    /// The fields that are called like an image, in the order of the tar.
    pub(super) fn images(&self) -> impl Iterator<Item = &Field<'a>> {
        self.fields
            .iter()
            .filter(|field| is_image(&field.extension))
    }

    /// The content of the field of this extension.
    pub(super) fn content(&self, extension: &str) -> Option<&'a [u8]> {
        let mut fields = self.fields.iter();
        let field = fields.find(|field| field.extension == extension)?;
        Some(field.data)
    }

    /// Whether a member for its label has come.
    pub(super) fn has_label(&self) -> bool {
        let mut labels = LABEL_EXTENSIONS.iter();
        labels.any(|extension| self.content(extension).is_some())
    }
}

fn is_image(extension: &str) -> bool {
    IMAGE_EXTENSIONS.contains(&extension)
}
