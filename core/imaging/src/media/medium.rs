//! What a File-set is written on: a folder, or a zip.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Takes files, one after the other.
pub trait Medium {
    /// Takes a file of `len` bytes under a name whose components are separated by slashes.
    ///
    /// # Errors
    /// What writing it says.
    fn put(&mut self, name: &str, len: u64, bytes: &mut dyn Read) -> io::Result<()>;

    /// There are no more.
    ///
    /// # Errors
    /// What writing it says.
    fn finish(&mut self) -> io::Result<()>;
}

/// A folder, that of a CD to be burnt, say.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes the folder. One that has something in it already is refused: what is in there might be taken for a part of it.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        if fs::read_dir(path)?.next().is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(Self(path.to_owned()))
    }
}

impl Medium for Folder {
    fn put(&mut self, name: &str, len: u64, bytes: &mut dyn Read) -> io::Result<()> {
        let path = self.0.join(name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let copied = io::copy(bytes, &mut file)?;
        if copied == len { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn finish(&mut self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

/// A zip in which nothing is compressed: images are already, or hardly can be, and a reader gets at each by itself. It has its name when it is
/// whole, and takes nobody's.
#[cfg(feature = "zip")]
pub struct Zip {
    writer: Option<zip::ZipWriter<io::BufWriter<tempfile::NamedTempFile>>>,
    path: PathBuf,
}

#[cfg(feature = "zip")]
impl std::fmt::Debug for Zip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Zip(…)")
    }
}

#[cfg(feature = "zip")]
impl Zip {
    /// Makes the file, whose name nothing must have.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(path: &Path) -> io::Result<Self> {
        match fs::symlink_metadata(path) {
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".clavicle-coming-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder)?;
        let writer = Some(zip::ZipWriter::new(io::BufWriter::with_capacity(256 << 10, file)));
        Ok(Self { writer, path: path.to_owned() })
    }
}

#[cfg(feature = "zip")]
impl Medium for Zip {
    fn put(&mut self, name: &str, len: u64, bytes: &mut dyn Read) -> io::Result<()> {
        let zip = self.writer.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let stored = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored)
            .large_file(len >= u64::from(u32::MAX));
        zip.start_file(name, stored).map_err(io::Error::other)?;
        let copied = io::copy(bytes, zip)?;
        if copied == len { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn finish(&mut self) -> io::Result<()> {
        let Some(zip) = self.writer.take() else { return Ok(()) };
        let file = zip.finish().map_err(io::Error::other)?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist_noclobber(&self.path).map(drop).map_err(|refused| refused.error)
    }
}
