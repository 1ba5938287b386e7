// SPDX-License-Identifier: MIT OR Apache-2.0
//! Variants of a profile: what it takes to show the same bug differs between kernels.
//!
//! ```yaml
//! variants:                     # the first one that suits a kernel is taken
//!   - name: shrinker
//!     when:                     # one of these; without `when`, every kernel
//!       - from: 6.8           # and `before: 6.12`: versions, the latter left out
//!       - option: CONFIG_X      # and `value: n`; y if it is left out
//!     why: for people
//!     guest: {memory_mib: 1024} # in place of what the profile says
//!     storm: {zswap_max: 8K}
//!     needs: []                 # on top of what the profile says
//!     stretch: []
//! ```

use std::fmt;

use host::version::KernelVersion;
use schemars::JsonSchema;
use serde::Deserialize;

use super::need::{Alternative, Need, NeedFile};
use super::{Guest, KernelUnderTest, Profile, Storm, StretchPoint, scalar, schemas};

/// A way to show the profile's bug on some kernels.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// What reports call it.
    #[serde(deserialize_with = "scalar::name")]
    #[schemars(schema_with = "schemas::name")]
    pub name: String,
    /// It suits a kernel of which one of these holds, and every kernel if there are none.
    #[serde(default)]
    #[schemars(with = "Vec<ConditionFile>")]
    pub when: Vec<Condition>,
    /// Why these kernels want it.
    pub why: String,
    /// What differs in the guest.
    #[serde(default)]
    pub(super) guest: GuestChange,
    /// The profile's storm with what the variant changes, once the profile is read.
    #[serde(default)]
    pub(super) storm: Storm,
    /// Needs beyond the profile's.
    #[serde(default)]
    #[schemars(with = "Vec<NeedFile>")]
    pub needs: Vec<Need>,
    /// Points beyond the profile's.
    #[serde(default)]
    pub stretch: Vec<StretchPoint>,
}

/// What a variant changes in the guest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct GuestChange {
    /// Memory in MiB.
    #[serde(deserialize_with = "scalar::optional_number::<_, 64, 65536>")]
    #[schemars(schema_with = "schemas::number::<64, 65536>")]
    pub(super) memory_mib: Option<u64>,
    /// Virtual CPUs.
    #[serde(deserialize_with = "scalar::optional_number::<_, 1, 64>")]
    #[schemars(schema_with = "schemas::number::<1, 64>")]
    cpus: Option<u64>,
    /// Swap disks.
    #[serde(deserialize_with = "scalar::optional_number::<_, 1, 16>")]
    #[schemars(schema_with = "schemas::number::<1, 16>")]
    pub(super) disks: Option<u64>,
    /// Size of each disk in MiB.
    #[serde(deserialize_with = "scalar::optional_number::<_, 1, 65536>")]
    #[schemars(schema_with = "schemas::number::<1, 65536>")]
    disk_mib: Option<u64>,
}

/// What is true of some kernels: everything that it names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "ConditionFile")]
pub struct Condition {
    /// This version or a later one.
    pub from: Option<KernelVersion>,
    /// An earlier version than this.
    pub before: Option<KernelVersion>,
    /// An option with this value.
    pub option: Option<Alternative>,
}

/// As it is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(
    rename = "Condition",
    extend(
        "anyOf" = [{"required": ["from"]}, {"required": ["before"]}, {"required": ["option"]}],
        "dependentRequired" = {"value": ["option"]}
    )
)]
struct ConditionFile {
    /// This version or a later one.
    from: Option<KernelVersion>,
    /// An earlier version than this.
    before: Option<KernelVersion>,
    /// An option of the kernel's configuration.
    #[serde(default, deserialize_with = "scalar::some_option")]
    #[schemars(schema_with = "schemas::option")]
    option: Option<String>,
    /// Its value; `y` if it is left out.
    value: Option<String>,
}

impl TryFrom<ConditionFile> for Condition {
    type Error = &'static str;

    fn try_from(file: ConditionFile) -> Result<Self, Self::Error> {
        let ConditionFile { from, before, option, value } = file;
        let option = match (option, value) {
            (Some(option), value) => {
                Some(Alternative { option, value: value.unwrap_or_else(|| "y".to_owned()) })
            }
            (None, Some(_)) => return Err("`value` belongs to an `option`"),
            (None, None) => None,
        };
        if from.is_none() && before.is_none() && option.is_none() {
            return Err("an empty condition: expected `from`, `before` or `option`");
        }
        Ok(Self { from, before, option })
    }
}

impl Condition {
    /// A kernel whose version is not known has none that a condition could name.
    fn holds(&self, kernel: &KernelUnderTest<'_>) -> bool {
        let version = |holds: &dyn Fn(KernelVersion) -> bool| kernel.version.is_some_and(holds);
        self.from.is_none_or(|from| version(&|version| version >= from))
            && self.before.is_none_or(|before| version(&|version| version < before))
            && self.option.as_ref().is_none_or(|option| option.is_met(kernel))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            self.from.map(|version| format!("from Linux {version} on")),
            self.before.map(|version| format!("before Linux {version}")),
            self.option.as_ref().map(|option| format!("{}={}", option.option, option.value)),
        ];
        f.write_str(&words.into_iter().flatten().collect::<Vec<_>>().join(" and "))
    }
}

impl Variant {
    fn suits(&self, kernel: &KernelUnderTest<'_>) -> bool {
        self.when.is_empty() || self.when.iter().any(|condition| condition.holds(kernel))
    }
}

impl Profile {
    /// The profile as `kernel` wants it: its own values with those of the first variant that
    /// suits. `Err` names the variants if none does.
    pub fn for_kernel(&self, kernel: &KernelUnderTest<'_>) -> Result<Self, NoVariant> {
        if self.variants.is_empty() {
            return Ok(self.clone());
        }
        let Some(variant) = self.variants.iter().find(|variant| variant.suits(kernel)) else {
            let conditions = |variant: &Variant| {
                let all: Vec<String> = variant.when.iter().map(Condition::to_string).collect();
                format!("{}: {}", variant.name, all.join(" or "))
            };
            let variants = self.variants.iter().map(conditions).collect();
            return Err(NoVariant { profile: self.name.clone(), variants });
        };
        let GuestChange { memory_mib, cpus, disks, disk_mib } = variant.guest;
        let own = &self.guest;
        let mut profile = Self {
            variant: Some(variant.name.clone()),
            variants: Vec::new(),
            guest: Guest {
                memory_mib: memory_mib.unwrap_or(own.memory_mib),
                cpus: cpus.unwrap_or(own.cpus),
                disks: disks.unwrap_or(own.disks),
                disk_mib: disk_mib.unwrap_or(own.disk_mib),
            },
            storm: variant.storm.over(&self.storm),
            ..self.clone()
        };
        profile.needs.extend(variant.needs.iter().cloned());
        profile.stretch.extend(variant.stretch.iter().cloned());
        Ok(profile)
    }
}

/// No variant of a profile suits a kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no variant of the profile {profile} suits this kernel; there are {}", variants.join("; "))]
pub struct NoVariant {
    /// Name of the profile.
    pub profile: String,
    /// Each variant with its conditions.
    pub variants: Vec<String>,
}
