//! Image files to 8-bit pixels: JPEG, PNG, BMP, TIFF and WebP, known by their content.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::raster::Raster;
use crate::{Error, Result};

/// The most pixels that an image may declare before it is refused: 64 Mpx.
pub const DEFAULT_MAX_PIXELS: u64 = 64 << 20;

/// A decoded file.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The pixels, upright: grey when the file holds no colour, RGB otherwise.
    pub raster: Raster,
    /// How the file stores them, such as `grey 16-bit`.
    pub stored_as: String,
    /// The greatest sample of a file of 16 bits each and no alpha.
    pub greatest_16_bit: Option<u16>,
}

/// Decodes the image file at `path`.
///
/// 16-bit samples are rounded to 8 bits, palettes looked up, alpha dropped (as torchvision does),
/// and the EXIF orientation applied.
///
/// # Errors
/// [`Error::File`] when the file cannot be read, is empty, truncated or not an image, or declares
/// more than `max_pixels` pixels, which is known before any is decoded.
pub fn decode_file(path: &Path, max_pixels: u64) -> Result<Decoded> {
    let bytes = read(path)?;
    let mut decoder = open(path, &bytes, max_pixels)?;
    let stored_as = describe(decoder.original_color_type());
    let grey = !decoder.color_type().has_color();
    let orientation = orientation(&mut decoder);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|e| unreadable(path, &e))?;
    image.apply_orientation(orientation);
    let (width, height) = (image.width() as usize, image.height() as usize);
    let greatest_16_bit = match &image {
        DynamicImage::ImageLuma16(image) => image.iter().copied().max(),
        DynamicImage::ImageRgb16(image) => image.iter().copied().max(),
        _ => None,
    };
    let (channels, bytes) =
        if grey { (1, image.into_luma8().into_raw()) } else { (3, image.into_rgb8().into_raw()) };
    Ok(Decoded { raster: Raster { height, width, channels, bytes }, stored_as, greatest_16_bit })
}

/// What the header of an image file says.
pub(super) struct Header {
    /// `[height, width]`, upright.
    pub(super) size: [usize; 2],
    /// Whether the file has one channel of brightness only.
    pub(super) grey: bool,
}

/// Reads the header of the image file at `path`; errors as for [`decode_file`].
pub(super) fn read_header(path: &Path, max_pixels: u64) -> Result<Header> {
    let bytes = read(path)?;
    let mut decoder = open(path, &bytes, max_pixels)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    let size = match orientation(&mut decoder) {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => [width, height],
        _ => [height, width],
    };
    Ok(Header { size, grey: !decoder.color_type().has_color() })
}

/// How to turn the image upright; a broken EXIF block turns nothing.
fn orientation(decoder: &mut impl ImageDecoder) -> Orientation {
    decoder.orientation().unwrap_or(Orientation::NoTransforms)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::file(path, error))
}

/// A decoder that has read the header of `bytes` and found it acceptable.
fn open<'a>(path: &Path, bytes: &'a [u8], max_pixels: u64) -> Result<impl ImageDecoder + 'a> {
    if bytes.is_empty() {
        return Err(Error::file(path, "empty file (0 bytes)"));
    }
    let format = image::guess_format(bytes)
        .map_err(|_| Error::file(path, "not a JPEG, PNG, BMP, TIFF or WebP image"))?;
    if format == ImageFormat::Jpeg && !jpeg_is_whole(bytes) {
        return Err(Error::file(path, "truncated JPEG: its end is missing"));
    }
    let mut limits = Limits::default();
    // Four 16-bit samples per pixel, and room for what a decoder holds beside them.
    limits.max_alloc = Some(8 * max_pixels + (64 << 20));
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| unreadable(path, &error))?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > max_pixels {
        let message = format!("{width} x {height} = {pixels} pixels: the limit is {max_pixels}");
        return Err(Error::file(path, message));
    }
    Ok(decoder)
}

fn unreadable(path: &Path, error: &image::ImageError) -> Error {
    Error::file(path, format!("cannot be decoded: {error}"))
}

/// How many samples of how many bits, in words.
fn describe(color: ExtendedColorType) -> String {
    let samples = match color.channel_count() {
        1 => "grey",
        2 => "grey + alpha",
        3 => "RGB",
        _ if matches!(color, ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16) => "CMYK",
        _ => "RGB + alpha",
    };
    format!("{samples} {}-bit", color.bits_per_pixel() / u16::from(color.channel_count().max(1)))
}

/// Whether the segments of a JPEG file lead to its end-of-image marker.
///
/// The decoder fills what is missing with grey and calls it a success, which would teach the model
/// grey rectangles.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    const START_OF_IMAGE: u8 = 0xd8;
    const END_OF_IMAGE: u8 = 0xd9;
    let mut at = 0;
    while let Some(offset) = bytes.get(at..).and_then(|rest| rest.iter().position(|&b| b == 0xff)) {
        at += offset + 1;
        match bytes.get(at) {
            Some(&END_OF_IMAGE) => return true,
            // Stuffing, fill bytes, restarts and lone markers carry no length.
            None | Some(0x00 | 0x01 | 0xd0..=0xd7 | 0xff | &START_OF_IMAGE) => {}
            Some(_) => {
                let Some(length) = bytes.get(at + 1..at + 3) else { return false };
                at += 1 + usize::from(u16::from_be_bytes([length[0], length[1]]));
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use image::{GrayAlphaImage, GrayImage, ImageBuffer, Luma, RgbImage, RgbaImage};
    use tempfile::TempDir;

    use super::*;
    use crate::data::testing::png;

    struct Folder(TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
            let path = self.0.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        }

        fn save(&self, name: &str, image: impl Into<DynamicImage>) -> PathBuf {
            let path = self.0.path().join(name);
            image.into().save(&path).unwrap();
            path
        }
    }

    fn decode(path: &Path) -> Decoded {
        decode_file(path, DEFAULT_MAX_PIXELS).unwrap()
    }

    fn refusal(path: &Path) -> String {
        let message = decode_file(path, DEFAULT_MAX_PIXELS).unwrap_err().to_string();
        assert!(message.starts_with(&path.display().to_string()), "{message}");
        message
    }

    #[test]
    fn every_lossless_format_gives_the_pixels_back() {
        let folder = Folder::new();
        let rgb = RgbImage::from_fn(5, 3, |x, y| image::Rgb([x as u8 * 40, y as u8 * 70, 9]));
        for name in ["a.png", "a.bmp", "a.tiff", "a.webp"] {
            let decoded = decode(&folder.save(name, rgb.clone()));
            assert_eq!(decoded.stored_as, "RGB 8-bit", "{name}");
            let Raster { height, width, channels, bytes } = decoded.raster;
            assert_eq!((height, width, channels), (3, 5, 3), "{name}");
            assert_eq!(bytes, *rgb.as_raw(), "{name}");
        }
    }

    #[test]
    fn jpeg_is_close_and_grey_stays_grey() {
        let folder = Folder::new();
        let grey = GrayImage::from_fn(16, 16, |x, y| Luma([(x * 8 + y * 4) as u8]));
        let decoded = decode(&folder.save("a.jpg", grey.clone()));
        assert_eq!(decoded.raster.channels, 1);
        let worst =
            decoded.raster.bytes.iter().zip(grey.as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(8), "{worst:?}");
    }

    #[test]
    fn sixteen_bits_round_to_eight_and_alpha_is_dropped() {
        let folder = Folder::new();
        let deep = ImageBuffer::<Luma<u16>, _>::from_vec(4, 1, vec![0, 257, 33025, 65535]).unwrap();
        let decoded = decode(&folder.save("deep.png", deep));
        assert_eq!(decoded.stored_as, "grey 16-bit");
        assert_eq!(decoded.raster.bytes, [0, 1, 129, 255]);

        let alpha = GrayAlphaImage::from_vec(2, 1, vec![7, 0, 200, 128]).unwrap();
        let decoded = decode(&folder.save("la.png", alpha));
        assert_eq!(
            (decoded.stored_as.as_str(), decoded.raster.channels),
            ("grey + alpha 8-bit", 1)
        );
        assert_eq!(decoded.raster.bytes, [7, 200]);

        let rgba = RgbaImage::from_vec(1, 1, vec![1, 2, 3, 0]).unwrap();
        assert_eq!(decode(&folder.save("rgba.png", rgba)).raster.bytes, [1, 2, 3]);
    }

    #[test]
    fn palette_png_is_looked_up() {
        let folder = Folder::new();
        let palette = [(*b"PLTE", vec![255, 0, 0, 10, 20, 30])];
        let path = folder.write("p.png", &png(2, 1, 8, 3, &palette, &[0, 1, 0]));
        assert_eq!(decode(&path).raster.bytes, [10, 20, 30, 255, 0, 0]);
    }

    #[test]
    fn exif_orientation_turns_the_image_upright() {
        let folder = Folder::new();
        // Left half white, lying on its side: orientation 6 turns it clockwise, white to the top.
        let lying = GrayImage::from_fn(32, 16, |x, _| Luma([if x < 16 { 255 } else { 0 }]));
        let plain = fs::read(folder.save("plain.jpg", lying)).unwrap();
        let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let mut bytes = plain[..2].to_vec();
        bytes.extend([0xff, 0xe1]);
        bytes.extend((exif.len() as u16 + 2).to_be_bytes());
        bytes.extend(exif);
        bytes.extend(&plain[2..]);
        let path = folder.write("turned.jpg", &bytes);
        let Raster { height, width, bytes, .. } = decode(&path).raster;
        assert_eq!((height, width), (32, 16));
        assert!(bytes[8] > 240 && bytes[31 * 16 + 8] < 15);
        assert_eq!(read_header(&path, DEFAULT_MAX_PIXELS).unwrap().size, [32, 16]);
    }

    #[test]
    fn content_decides_not_the_name() {
        let folder = Folder::new();
        let jpeg = fs::read(folder.save("a.jpg", GrayImage::new(8, 8))).unwrap();
        assert_eq!(decode(&folder.write("really_jpeg.png", &jpeg)).raster.width, 8);
        let message = refusal(&folder.write("text.jpg", b"dear reader, this is no image"));
        assert!(message.contains("not a JPEG"), "{message}");
        assert!(refusal(&folder.write("empty.png", b"")).contains("empty file"));
        assert!(refusal(&folder.0.path().join("missing.png")).contains("No such file"));
        assert!(refusal(&folder.write("moving.webp", b"GIF89a")).contains("cannot be decoded"));
    }

    #[test]
    fn no_truncated_file_passes() {
        let folder = Folder::new();
        let noisy = RgbImage::from_fn(40, 40, |x, y| {
            let value = (x * 7919 + y * 104_729) as u8;
            image::Rgb([value, value.wrapping_mul(31), value.wrapping_mul(97)])
        });
        for name in ["a.png", "a.bmp", "a.tiff", "a.webp", "a.jpg"] {
            let whole = fs::read(folder.save(name, noisy.clone())).unwrap();
            // TIFF and PNG may end in bytes that carry no pixels: cut well into the data.
            for keep in [whole.len() / 10, whole.len() / 2, whole.len() * 9 / 10] {
                refusal(&folder.write(name, &whole[..keep]));
            }
        }
    }

    #[test]
    fn huge_sizes_are_refused_from_the_header() {
        let folder = Folder::new();
        let message = refusal(&folder.write("bomb.png", &png(60_000, 50_000, 8, 0, &[], &[0])));
        assert!(message.contains("60000 x 50000 = 3000000000 pixels"), "{message}");
        assert!(message.contains("limit is 67108864"), "{message}");
        let small = folder.save("small.png", GrayImage::new(10, 10));
        assert!(decode_file(&small, 100).is_ok());
        assert!(decode_file(&small, 99).is_err());
    }
}
