//! Pictures inside a page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use serde::{Deserialize, Serialize};

use crate::data::Raster;
use crate::{Error, Result};

/// A picture as `data:` URI: whoever has it needs no other file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Picture(String);

/// Pictures up to so many pixels are kept to the bit, as PNG; larger ones become JPEG.
const EXACT: usize = 32 * 32;
/// Of JPEG, 1 to 100: artefacts are not to be seen beside those of a camera.
const QUALITY: u8 = 82;

impl Picture {
    /// Encodes `raster`.
    ///
    /// # Errors
    /// A raster without pixels.
    pub fn of(raster: &Raster) -> Result<Self> {
        let (width, height) = (raster.width as u32, raster.height as u32);
        let kind =
            if raster.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
        let mut bytes = Vec::new();
        let (name, written) = if raster.height * raster.width <= EXACT {
            ("png", PngEncoder::new(&mut bytes).write_image(&raster.bytes, width, height, kind))
        } else {
            let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
            ("jpeg", encoder.write_image(&raster.bytes, width, height, kind))
        };
        written.map_err(|error| {
            Error::Usage(format!("picture of {height} x {width} for a page: {error}"))
        })?;
        Ok(Self(format!("data:image/{name};base64,{}", STANDARD.encode(bytes))))
    }

    /// The same no larger than `side` pixels either way.
    ///
    /// # Errors
    /// Those of [`Self::of`].
    pub fn small(raster: &Raster, side: usize) -> Result<Self> {
        let longest = raster.height.max(raster.width);
        if longest <= side {
            return Self::of(raster);
        }
        let fit = |length: usize| (length * side / longest).max(1);
        Self::of(&raster.clone().resized(fit(raster.height), fit(raster.width)))
    }

    /// What `src` of an `img` is.
    pub(super) fn uri(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Picture {
    type Error = String;

    fn try_from(uri: String) -> std::result::Result<Self, String> {
        if uri.starts_with("data:image/") {
            Ok(Self(uri))
        } else {
            let start: String = uri.chars().take(40).collect();
            Err(format!("picture '{start}': expected data:image/..."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(height: usize, width: usize, channels: usize) -> Raster {
        let value = |i: usize| (i.wrapping_mul(2_654_435_761) >> 13) as u8;
        Raster {
            height,
            width,
            channels,
            bytes: (0..height * width * channels).map(value).collect(),
        }
    }

    fn decoded(picture: &Picture) -> image::DynamicImage {
        let base64 = picture.uri().split_once(";base64,").unwrap().1;
        image::load_from_memory(&STANDARD.decode(base64).unwrap()).unwrap()
    }

    #[test]
    fn small_pictures_are_exact_and_large_ones_shrink() {
        let small = noise(9, 64, 3);
        let picture = Picture::small(&small, 64).unwrap();
        assert_eq!(decoded(&picture).into_rgb8().into_raw(), small.bytes);
        let large = decoded(&Picture::small(&noise(100, 400, 1), 200).unwrap());
        assert_eq!((large.width(), large.height()), (200, 50));
        assert!(Picture::of(&noise(0, 5, 1)).is_err());
    }

    #[test]
    fn nothing_from_outside_reads_back() {
        let picture = Picture::of(&noise(4, 4, 1)).unwrap();
        let json = serde_json::to_string(&picture).unwrap();
        assert_eq!(serde_json::from_str::<Picture>(&json).unwrap(), picture);
        let error = serde_json::from_str::<Picture>("\"//elsewhere/a.png\"").unwrap_err();
        assert!(error.to_string().contains("expected data:image"), "{error}");
    }
}
