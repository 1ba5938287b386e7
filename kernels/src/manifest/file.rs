// SPDX-License-Identifier: MIT OR Apache-2.0
//! Manifests as they are written. What stands in front of a field is what editors say of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use document::schema;
use host::apt::{PackageName, Suite};
use host::arch;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// A kernel that can be built: where its source comes from, and how it is configured.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Kernel manifest")]
pub(super) struct File {
    /// One line for people.
    pub(super) about: String,
    /// Where the source comes from.
    pub(super) source: SourceChoice,
    /// What compiles it: gcc, clang, or a version of clang; gcc if it is left out.
    #[serde(default)]
    #[schemars(schema_with = "toolchain")]
    pub(super) toolchain: Option<String>,
    /// How it is configured; as `config/standard.yaml` says if it is left out.
    pub(super) config: Option<Config>,
    /// Variables for make, by architecture.
    #[serde(default)]
    #[schemars(schema_with = "make")]
    pub(super) make: Option<BTreeMap<String, Vec<String>>>,
}

/// How a kernel is configured if its manifest does not say it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Standard configuration")]
pub(super) struct Standard {
    /// Options.
    pub(super) config: Config,
    /// Variables for make, by architecture.
    #[schemars(schema_with = "make")]
    pub(super) make: BTreeMap<String, Vec<String>>,
}

/// Where a kernel's source comes from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Source", extend("oneOf" = [
    {"required": ["debian"]}, {"required": ["tarball"]}, {"required": ["dir"]}, {"required": ["git"]}
]))]
pub(super) struct SourceChoice {
    /// A package of Debian's.
    pub(super) debian: Option<DebianFile>,
    /// An archive of a tree.
    pub(super) tarball: Option<TarballFile>,
    /// A tree in place, which is only read: an absolute path.
    pub(super) dir: Option<PathBuf>,
    /// A commit of a repository.
    pub(super) git: Option<GitFile>,
}

/// A commit of a repository.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Git")]
pub(super) struct GitFile {
    /// A URL of https, http, git, ssh or file, or an absolute path.
    pub(super) repo: String,
    /// A tag, a branch, HEAD, or a whole commit id.
    #[serde(rename = "ref")]
    pub(super) reference: String,
}

/// An archive of a tree.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Tarball", extend("oneOf" = [{"required": ["url"]}, {"required": ["file"]}]))]
pub(super) struct TarballFile {
    /// Where it is fetched from, by http or https.
    #[serde(default)]
    #[schemars(schema_with = "url")]
    pub(super) url: Option<String>,
    /// Where it lies on this machine: an absolute path.
    pub(super) file: Option<PathBuf>,
    /// The SHA-256 of the archive.
    #[schemars(schema_with = "sha256")]
    pub(super) sha256: String,
}

/// A package of Debian's.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Debian")]
pub(super) struct DebianFile {
    /// Its name, like `linux-source-6.1`; the newest version is taken.
    pub(super) package: PackageName,
    /// The suite that it comes from; those that this machine's apt has if it is left out.
    pub(super) suite: Option<Suite>,
}

/// How a kernel is configured.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// The make target that the configuration starts from.
    #[schemars(schema_with = "base")]
    pub(super) base: String,
    /// Files `config/NAME.config`; later ones win.
    pub(super) fragments: Vec<String>,
    /// More of them by architecture; which architectures are supported is said by this.
    #[schemars(extend("propertyNames" = arch::schema()))]
    pub(super) arch: BTreeMap<String, Vec<String>>,
}

fn toolchain(_: &mut SchemaGenerator) -> Schema {
    schema::string("^(gcc|clang(-[0-9]{1,3})?)$", "gcc, clang, or a version of it like clang-16")
}

fn url(_: &mut SchemaGenerator) -> Schema {
    schema::string(r#"^https?://[!#-&(-;=?-\[\]-~]*$"#, "a URL of http or https")
}

fn sha256(_: &mut SchemaGenerator) -> Schema {
    schema::string("^[0-9A-Fa-f]{64}$", "a SHA-256 of 64 hexadecimal digits")
}

/// The name becomes an argument of make.
fn base(_: &mut SchemaGenerator) -> Schema {
    schema::string(
        "^[A-Za-z0-9_][A-Za-z0-9_-]*config$|^config$",
        "a configuration target, like tinyconfig",
    )
}

/// Only settings: anything else would be an option or a target of make.
fn make(_: &mut SchemaGenerator) -> Schema {
    let setting = "^[A-Za-z_][A-Za-z0-9_.-]*=[A-Za-z0-9_.,/+=-]*$";
    let setting = schema::string(setting, "a setting for make, NAME=value");
    json_schema!({
        "type": "object",
        "propertyNames": arch::schema(),
        "additionalProperties": {"type": "array", "items": setting},
    })
}
