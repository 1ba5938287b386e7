// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recipes: what an image is made of.

use std::io;
use std::path::{Path, PathBuf};

use document::Problems;
use host::apt::{PackageName, Suite};
use schemars::JsonSchema;
use serde::Deserialize;

/// Recipes that come with the program: name and text.
const BUILT_IN: &[(&str, &str)] = &[
    ("agent", include_str!("../recipes/agent.yaml")),
    ("shell", include_str!("../recipes/shell.yaml")),
];

/// What an image is made of. Paths in the image are absolute; folders above are made as needed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// For people who choose a recipe.
    pub description: String,
    /// Folders that would otherwise not be there.
    #[serde(default)]
    pub dirs: Vec<String>,
    /// Programs that we compile.
    #[serde(default)]
    pub programs: Vec<Program>,
    /// Character devices.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// Symbolic links.
    #[serde(default)]
    pub links: Vec<Link>,
    /// Links of many names to programs that are called by many names.
    #[serde(default)]
    pub applets: Vec<Applets>,
    /// Files of the user, and short ones that stand in the recipe.
    #[serde(default)]
    #[schemars(with = "Vec<RawFile>")]
    pub files: Vec<ExtraFile>,
    /// Debian packages of the guest's architecture. What they depend on comes with them. Their
    /// files are laid out as on a system where `/bin` is `/usr/bin`, and so are all others then.
    /// Scripts of packages are not run; setuid bits are dropped. A file of the recipe replaces
    /// one of a package.
    #[serde(default)]
    pub packages: Vec<PackageName>,
    /// What is not wanted of the packages: paths, and all that is below them. A `*` stands for
    /// any part of a name: `usr/lib/*/gconv`.
    #[serde(default)]
    pub leave_out: Vec<String>,
    /// The suite that packages come from, if not the architecture's usual one.
    #[serde(default)]
    pub suite: Option<Suite>,
    /// What relative sources in `files` are relative to: the recipe's own folder.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// A program that we compile.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Where it lies in the image.
    pub path: String,
    /// Which one, e.g. `agent`.
    pub program: String,
}

/// A character device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Where it lies in the image.
    pub path: String,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// A symbolic link.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Where it lies in the image.
    pub path: String,
    /// Where it points.
    pub to: String,
}

/// Links of many names to one program, which does what its name says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Applets {
    /// Where the links point.
    pub to: String,
    /// The folder in which they lie.
    pub folder: String,
    /// Their names.
    pub names: Vec<String>,
}

/// A file, with `source` or `text`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawFile")]
pub struct ExtraFile {
    /// Where it lies in the image.
    pub path: String,
    /// What it holds.
    pub contents: FileContents,
    /// Whether it can be run in the guest.
    pub executable: bool,
}

/// What a file in an image holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileContents {
    /// What this file on our machine does; the path is relative to the recipe.
    Source(PathBuf),
    /// This text.
    Text(String),
}

/// A file, with `source` or `text`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["source"]}, {"required": ["text"]}]))]
struct RawFile {
    /// Where it lies in the image.
    path: String,
    /// A file on this machine that it is a copy of; the path is relative to the recipe.
    source: Option<PathBuf>,
    /// What it holds.
    text: Option<String>,
    /// Whether it can be run in the guest.
    #[serde(default)]
    executable: bool,
}

impl TryFrom<RawFile> for ExtraFile {
    type Error = String;

    fn try_from(raw: RawFile) -> Result<Self, String> {
        let RawFile { path, source, text, executable } = raw;
        let contents = match (source, text) {
            (Some(source), None) => FileContents::Source(source),
            (None, Some(text)) => FileContents::Text(text),
            _ => return Err(format!("the file {path:?} needs either `source` or `text`")),
        };
        Ok(Self { path, contents, executable })
    }
}

/// Why there is no recipe.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// Nobody knows this name.
    #[error(
        "there is no image recipe {name:?}{}\n  hint: known are {}, or give the path of a YAML file",
        document::did_you_mean(name, known.iter().copied()),
        known.join(", ")
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// The file cannot be read.
    #[error("cannot read the image recipe {}: {source}", path.display())]
    Read {
        /// The user's file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is not a recipe.
    #[error(transparent)]
    Document(#[from] Problems),
}

impl Recipe {
    /// A recipe that comes with the program.
    pub fn built_in(name: &str) -> Result<Self, RecipeError> {
        match BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
            Some((_, text)) => Self::from_yaml(&format!("{name}.yaml (built in)"), text),
            None => {
                let known = BUILT_IN.iter().map(|(name, _)| *name).collect();
                Err(RecipeError::Unknown { name: name.to_owned(), known })
            }
        }
    }

    /// A recipe of the user.
    pub fn from_file(path: &Path) -> Result<Self, RecipeError> {
        let fail = |source| RecipeError::Read { path: path.to_owned(), source };
        let length = fs_err::metadata(path).map_err(fail)?.len();
        if length > document::MOST_BYTES as u64 {
            let most = document::MOST_BYTES;
            let why = format!("{length} bytes are more than the {most} that a recipe may have");
            return Err(fail(io::Error::new(io::ErrorKind::FileTooLarge, why)));
        }
        let text = fs_err::read_to_string(path).map_err(fail)?;
        let mut recipe = Self::from_yaml(&path.display().to_string(), &text)?;
        recipe.folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(recipe)
    }

    /// Reads a recipe from `text`; `file` is only for messages.
    pub fn from_yaml(file: &str, text: &str) -> Result<Self, RecipeError> {
        Ok(document::read(file, text)?)
    }

    /// The JSON Schema of a recipe, as the text of a file.
    pub fn schema() -> String {
        document::schema::text::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_has_its_place() {
        let refusal = |text: &str| Recipe::from_yaml("r.yaml", text).unwrap_err().to_string();
        let words =
            refusal("descripton: x\nfile: []\ndevices:\n- {path: /d, major: five, minor: 1}\n");
        let expected = "\
r.yaml:1:1: unknown field `descripton`, did you mean `description`?
r.yaml:2:1: unknown field `file`, did you mean `files`?
r.yaml:4:21: devices[0].major: expected a whole number from 0 to 4294967295, not \"five\"";
        assert_eq!(words, expected);
        let words = refusal("description: x\npackages: [busybox, --yes]\nsuite: ../x\n");
        let expected = "\
r.yaml:2:21: packages[1]: expected the name of a Debian package: lower case letters, digits, `+`, `-` and `.`, not \"--yes\"
r.yaml:3:8: suite: expected a suite of an archive, like `bookworm`, not \"../x\"";
        assert_eq!(words, expected);
        for (file, says) in [("{path: /x}", "one"), ("{path: /x, source: a, text: b}", "only one")]
        {
            let words = refusal(&format!("description: x\nfiles:\n- {file}\n"));
            let expected = format!("r.yaml:3:3: files[0]: expected {says} of `source`, `text`");
            assert_eq!(words, expected);
        }
    }

    #[test]
    fn every_shipped_recipe_is_built_in_and_the_schema_is_the_checked_in_one() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        let files = fs_err::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
        let yaml: Vec<_> =
            files.filter(|file| file.extension().is_some_and(|e| e == "yaml")).collect();
        assert_eq!(yaml.len(), BUILT_IN.len());
        for file in yaml {
            Recipe::from_file(&file).unwrap();
        }
        document::schema::checked_in(folder.join("recipe.schema.json"), &Recipe::schema()).unwrap();
    }

    #[test]
    fn a_huge_file_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.yaml");
        fs_err::File::create(&path).unwrap().set_len(document::MOST_BYTES as u64 + 1).unwrap();
        let error = Recipe::from_file(&path).unwrap_err().to_string();
        assert!(error.contains("1048577 bytes"), "{error}");
    }

    #[test]
    fn built_in_recipes_read() {
        for (name, _) in BUILT_IN {
            let recipe = Recipe::built_in(name).unwrap();
            assert!(!recipe.description.is_empty(), "{name}");
        }
    }

    #[test]
    fn an_unknown_recipe_is_answered_with_the_known_ones() {
        let words = Recipe::built_in("cake").unwrap_err().to_string();
        assert!(words.contains("\"cake\"") && words.contains("known are agent"), "{words}");
    }
}
