//! Where libnvjpeg is sought, and what is said where it is not.

use std::env;
use std::ffi::c_int;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::status::{Failure, check};
use crate::sys::{Functions, nvjpegStatus_t};

/// The library's name; the number is that of CUDA's major version, the one that PyTorch 2.11 is built for.
const NAME: &str = "libnvjpeg.so.13";

/// The driver's library for video and images.
const ENGINES: &str = "libnvcuvid.so.1";

/// libnvjpeg, loaded. It stays loaded for as long as anything that was made with it lives.
pub struct Library {
    pub(crate) functions: Functions,
    path: PathBuf,
    version: Version,
    cuda_version: Version,
    _library: libloading::Library,
}

/// Major, minor, patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

/// Why there is no nvJPEG.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    /// No file of the name is in any place where it is sought.
    #[error(
        "there is no nvJPEG; {NAME} was sought in {}; install it (pip install nvidia-nvjpeg) or add its folder to LD_LIBRARY_PATH",
        listed(sought)
    )]
    NotFound {
        /// Folders, and `the system's folders`.
        sought: Vec<String>,
    },
    /// A file of the name is there, but cannot be used.
    #[error("nvJPEG cannot be loaded; {}; {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system says, or the library.
        reason: String,
    },
}

impl Library {
    /// Loads the first that is found: in the folders of `LD_LIBRARY_PATH`, in Python environments (the active one, one below the current folder or
    /// above this program: `pip install nvidia-nvjpeg` puts it there), in CUDA's folder, in the system's folders.
    ///
    /// # Errors
    /// See [`Missing`]. A file that is found but cannot be used ends the search.
    pub fn load() -> Result<Arc<Self>, Missing> {
        let mut sought = Vec::new();
        for folder in library_folders() {
            let path = folder.join(NAME);
            if path.exists() {
                return Self::open(&path);
            }
            sought.push(folder.display().to_string());
        }
        sought.push("the system's folders".to_owned());
        Self::open(Path::new(NAME)).map_err(|missing| match missing {
            Missing::Unusable { reason, .. } if reason.contains("No such file") => {
                Missing::NotFound { sought }
            }
            other => other,
        })
    }

    /// Loads the library at `path`.
    ///
    /// # Errors
    /// That it cannot be used.
    pub fn open(path: &Path) -> Result<Arc<Self>, Missing> {
        let unusable = |reason: String| Missing::Unusable {
            path: path.to_owned(),
            reason,
        };
        // SAFETY: NVIDIA's library does nothing when it is loaded, and nothing of it is called once it is unloaded, which the last owner of the table does.
        let library = unsafe { libloading::Library::new(path) };
        let library = library.map_err(|error| unusable(system_says(&error)))?;
        let functions = Functions::find(&library);
        let functions = functions.map_err(|error| unusable(system_says(&error)))?;
        let version = |function, name| {
            version(function, name).map_err(|failure| unusable(failure.to_string()))
        };
        Ok(Arc::new(Self {
            version: version(functions.nvjpegGetProperty, "nvjpegGetProperty")?,
            cuda_version: version(functions.nvjpegGetCudartProperty, "nvjpegGetCudartProperty")?,
            functions,
            path: path.to_owned(),
            _library: library,
        }))
    }

    /// Whether the part of the driver is there by which nvJPEG reaches the engines. A container has it only where it is given the capability `video`.
    pub fn reaches_engines() -> bool {
        // SAFETY: NVIDIA's library does nothing when it is loaded.
        unsafe { libloading::Library::new(ENGINES) }.is_ok()
    }

    /// Where it was found.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// nvJPEG's version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The version of CUDA that it was built with.
    pub fn cuda_version(&self) -> Version {
        self.cuda_version
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "nvJPEG {} at {}",
            self.version,
            self.path.display()
        )
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.0, self.1, self.2)
    }
}

type Property = unsafe extern "C" fn(u32, *mut c_int) -> nvjpegStatus_t;

fn version(function: Property, name: &'static str) -> Result<Version, Failure> {
    let part = |which: u32| {
        let mut value = 0;
        // SAFETY: the function writes one number, and knows the three parts.
        check(name, unsafe { function(which, &raw mut value) })?;
        Ok(value.unsigned_abs())
    };
    Ok(Version(part(0)?, part(1)?, part(2)?))
}

/// Folders in which NVIDIA's libraries for CUDA 13 may lie, in the order in which they are looked through: what [`Library::load`] tells, but the system's.
pub fn library_folders() -> Vec<PathBuf> {
    let listed = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let of_variable = env::split_paths(&listed).filter(|folder| !folder.as_os_str().is_empty());
    let of_wheels = environments().into_iter().flat_map(|env| wheels(&env));
    let of_toolkit = ["/usr/local/cuda/lib64".into()];
    of_variable.chain(of_wheels).chain(of_toolkit).collect()
}

/// Python environments that may have NVIDIA's wheels.
fn environments() -> Vec<PathBuf> {
    let active = ["VIRTUAL_ENV", "CONDA_PREFIX"].map(env::var_os);
    let active = active.into_iter().flatten().map(PathBuf::from);
    let program = env::current_exe().unwrap_or_default();
    // Not its target: the program of an environment is a link out of it.
    let named = env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let above = |path: &Path| -> Vec<PathBuf> { path.ancestors().map(Path::to_owned).collect() };
    let of_python = named.parent().and_then(Path::parent).map(Path::to_owned);
    let beside = above(&program)
        .into_iter()
        .flat_map(|folder| [folder.join(".venv"), folder]);
    let below = env::current_dir()
        .into_iter()
        .map(|folder| folder.join(".venv"));
    let all = active.chain(of_python).chain(below).chain(beside);
    all.filter(|env| env.join("lib").is_dir()).collect()
}

/// Where the wheels of CUDA 13 keep their libraries within an environment.
fn wheels(environment: &Path) -> Vec<PathBuf> {
    let pythons = environment.join("lib").read_dir().into_iter().flatten();
    let pythons = pythons.filter_map(|entry| Some(entry.ok()?.path()));
    let libraries = pythons.map(|python| python.join("site-packages/nvidia/cu13/lib"));
    libraries.filter(|folder| folder.is_dir()).collect()
}

/// The loader's own words, which libloading keeps as the cause.
fn system_says(error: &libloading::Error) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    cause.unwrap_or_else(|| error.to_string())
}

fn listed(sought: &[String]) -> String {
    sought.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_not_there_is_told_with_where_it_was_sought_and_what_to_do() {
        let missing = Missing::NotFound {
            sought: vec!["/a".to_owned(), "the system's folders".to_owned()],
        };
        assert_eq!(
            missing.to_string(),
            "there is no nvJPEG; libnvjpeg.so.13 was sought in /a, the system's folders; install it (pip install nvidia-nvjpeg) or add its folder to \
             LD_LIBRARY_PATH"
        );
        let Err(Missing::Unusable { reason, .. }) = Library::open(Path::new("/no/such/file"))
        else {
            panic!("there is no such file");
        };
        assert!(reason.contains("No such file"), "{reason}");
    }
}
