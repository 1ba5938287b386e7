// SPDX-License-Identifier: MIT OR Apache-2.0
mod refusals;

use tempfile::TempDir;

use super::*;

const MINIMAL: &str = "\
name: mine
description: a test
guest: {memory_mib: 256, cpus: 2, disks: 4, disk_mib: 2}
";

fn read(extra: &str) -> Result<Profile, ProfileError> {
    Profile::from_yaml("mine", "mine.yaml", &format!("{MINIMAL}{extra}"))
}

fn refusal(extra: &str) -> String {
    read(extra).unwrap_err().to_string()
}

/// Command lines with every storm parameter at its smallest and at its largest value, and
/// those of the built-in profiles.
pub(crate) fn cmdlines_at_the_bounds() -> Vec<String> {
    let low = read(
        "storm: {zswap: false, compressor: l, zpool: z, max_pool_percent: 0, \
         accept_threshold_percent: 0, shrinker: false, stay_on: 0, swap_kib: 0, on_ms: 0, off_ms: 0-0, priority: 0, \
         hotplug: false, cpu_on_ms: 0, cpu_off_ms: 0-0, \
         workers: 0, pages: 1, push: none, chunk: 1, order: sequential, memory_max: 0, memory_high: 0K, zswap_max: 0, \
         cpu_max: 1/1, compressible: 0, sample_ms: 20, hung_ms: 1000, check_s: 0, zswap_on_ms: 0, zswap_off_ms: 0-0, compressors: l, shmem: 0, readers: 0, life_ms: 0, memcg_ms: 0}\n\
         technique: preempt\npreempt: {burst_us: 10, gap_us: 500-500, idle_workers: 0, idle_shrinkers: false, cpu_max: 1/1}",
    );
    let high = read(&format!(
        "storm: {{zswap: true, compressor: {0}, zpool: {0}, max_pool_percent: 100, \
         accept_threshold_percent: 100, shrinker: true, stay_on: 16, swap_kib: 67108864, on_ms: 0-60000, off_ms: 60000, \
         priority: 0-32767, hotplug: true, cpu_on_ms: 60000, cpu_off_ms: 0-60000, \
         workers: 64, pages: 65536, push: limit, chunk: 65536, order: random, memory_max: max, \
         memory_high: {1}G, zswap_max: {1}, cpu_max: 1000000/1000000, compressible: 100, sample_ms: 60000, \
         hung_ms: 3600000, check_s: 86400, zswap_on_ms: 0-60000, zswap_off_ms: 60000, compressors: \"{0},{0}\", \
         shmem: 100, readers: 4, life_ms: 60000, memcg_ms: 0-60000}}\ntechnique: preempt+stretch\n\
         preempt: {{burst_us: 10-5000, gap_us: 1000000, idle_workers: 100, idle_shrinkers: true, cpu_max: 1/1000000}}",
        "z".repeat(31),
        u64::MAX >> 30,
    ));
    let high = Profile { clock: Clock::Virtual, ..high.unwrap() };
    let all = [low.unwrap(), high].into_iter().chain(built_in());
    all.map(|profile| profile.cmdline(u64::MAX, "0123456789abcdefABCDEF", 86400)).collect()
}

/// The built-in profiles, in each of their variants.
fn built_in() -> impl Iterator<Item = Profile> {
    BUILT_IN.iter().flat_map(|(name, _)| {
        let profile = Profile::load(name, None).unwrap();
        let variants = profile.variants.clone();
        let alone = variants.is_empty().then(|| profile.clone());
        let each = variants.into_iter().map(move |mut variant| {
            variant.when.clear();
            Profile { variants: vec![variant], ..profile.clone() }
                .for_kernel(&kernel("6.1", &NONE))
                .unwrap()
        });
        alone.into_iter().chain(each).collect::<Vec<_>>()
    })
}

type Options = dyn Fn(&str) -> Option<String>;
const NONE: fn(&str) -> Option<String> = |_| None;
const ALL: fn(&str) -> Option<String> = |_| Some("y".to_owned());

fn kernel<'a>(version: &str, option: &'a Options) -> KernelUnderTest<'a> {
    KernelUnderTest { version: version.parse().ok(), option }
}

#[test]
fn built_in_profiles_read_and_stay_below_the_shortest_command_line() {
    for profile in built_in() {
        let name = &profile.name;
        // One that is after no bug of a name has nothing to fix.
        assert!(profile.fixes.is_empty() || profile.expect.is_some(), "{name}");
        // One that is after a bug of a name has a window to stretch.
        assert!(!profile.stretch.is_empty() || profile.expect.is_none(), "{name}");
        assert!(!profile.needs.is_empty());
        let words = profile.cmdline(u64::MAX, &"f".repeat(32), 86400);
        // 1024 bytes is riscv's bound, the smallest; the machine's own words need room too.
        assert!(words.len() < 700, "{name}: {} bytes", words.len());
    }
}

#[test]
fn the_command_line_has_the_profiles_words_and_the_storms() {
    let profile =
        read("cmdline: [nokaslr]\nstorm: {workers: 3, on_ms: 1-50, shrinker: false}").unwrap();
    assert_eq!(
        profile.cmdline(7, "abc", 10),
        "loglevel=6 printk.devkmsg=on nokaslr swapstorm.token=abc swapstorm.seed=7 \
         swapstorm.seconds=10 swapstorm.shrinker=off swapstorm.on_ms=1-50 swapstorm.workers=3"
    );
}

#[test]
fn processors_are_taken_away_where_the_technique_says_so() {
    let words = |technique: &str, preempt: &str| {
        let extra = format!("storm: {{cpu_max: 9/9}}\ntechnique: {technique}\n{preempt}");
        let words = read(&extra).unwrap().cmdline(7, "abc", 10);
        words.split(" swapstorm.seconds=10 ").nth(1).unwrap().to_owned()
    };
    let all = "preempt: {burst_us: 10-20, gap_us: 500, idle_workers: 50, idle_shrinkers: true, cpu_max: 1/2}";
    let said = "swapstorm.preempt=on swapstorm.burst_us=10-20 swapstorm.gap_us=500-500 \
                swapstorm.idle_workers=50 swapstorm.idle_shrinkers=on swapstorm.cpu_max=1/2";
    for (technique, stretches) in [("preempt", false), ("preempt+stretch", true)] {
        assert_eq!(words(technique, all), format!("swapstorm.cpu_max=9/9 {said}"));
        assert_eq!(words(technique, ""), "swapstorm.cpu_max=9/9 swapstorm.preempt=on");
        let known = Technique::by_name(technique).unwrap();
        assert_eq!(known.name(), technique);
        assert_eq!((known.stretches(), known.preempts()), (stretches, true));
    }
    for technique in ["natural", "stretch"] {
        assert_eq!(words(technique, all), "swapstorm.cpu_max=9/9");
        assert!(!Technique::by_name(technique).unwrap().preempts());
    }
    assert_eq!(Technique::by_name("luck"), None);
}

#[test]
fn a_part_of_the_recipe_can_be_left_out_where_there_is_one() {
    let profile = Profile::load("zswap-writeback-swapoff", None).unwrap();
    let without =
        |part| profile.without(part).map(|p| p.for_kernel(&kernel("6.1", &NONE)).unwrap());
    let whole = profile.for_kernel(&kernel("6.1", &NONE)).unwrap();
    assert!(!without(Part::ExpeditedRcu).unwrap().cmdline(1, "", 0).contains("rcu_expedited"));
    assert_eq!((whole.guest.disks, without(Part::ManyDisks).unwrap().guest.disks), (4, 1));
    let memory = without(Part::SmallMemory).unwrap().guest.memory_mib;
    assert_eq!((whole.guest.memory_mib, memory), (80, 1024));
    assert_eq!(without(Part::SmallPool).unwrap().storm.max_pool_percent, None);
    assert_eq!(without(Part::FewPages).unwrap().storm.pages, None);
    assert_eq!(without(Part::Pageout).unwrap().storm.push, Some(Push::None));
    let points = without(Part::Chance).unwrap().stretch;
    assert!(whole.stretch[0].probability < 1.0 && points.iter().all(|p| p.probability == 1.0));
    for part in Part::ALL {
        // One part goes, the rest stays.
        let rest = profile.without(part).unwrap();
        assert_eq!(rest.without(part), None, "{}", part.name());
        let others = Part::ALL.into_iter().filter(|other| *other != part);
        assert!(others.into_iter().all(|other| rest.without(other).is_some()), "{}", part.name());
    }
    let plain =
        Profile { guest: Guest { disks: 1, ..read("").unwrap().guest }, ..read("").unwrap() };
    assert!(Part::ALL.into_iter().all(|part| plain.without(part).is_none()));
}

#[test]
fn on_the_virtual_clock_the_guest_makes_its_disks_itself() {
    let words = |extra: &str| read(extra).unwrap().cmdline(7, "abc", 10);
    assert!(words("clock: virtual").contains("swapstorm.null_disks=4 swapstorm.null_mib=2"));
    assert!(!words("clock: wall").contains("null_"));
    assert_eq!(read("").unwrap().clock, Clock::Wall);
    assert!(
        refusal("clock: host").contains("unknown word `host`, expected one of `wall`, `virtual`")
    );
}

#[test]
fn every_shipped_profile_is_built_in_and_the_schema_is_the_checked_in_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
    let files = fs_err::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let yaml: Vec<_> = files.filter(|file| file.extension().is_some_and(|e| e == "yaml")).collect();
    assert_eq!(yaml.len(), BUILT_IN.len());
    for file in yaml {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let text = fs_err::read_to_string(&file).unwrap();
        Profile::from_yaml(name, &file.display().to_string(), &text).unwrap();
    }
    document::schema::checked_in(folder.join("profile.schema.json"), &Profile::schema()).unwrap();
}

#[test]
fn a_users_profile_comes_before_a_built_in_one() {
    let dir = TempDir::new().unwrap();
    let text = MINIMAL.replace("mine", "zswap-writeback-swapoff");
    fs_err::write(dir.path().join("zswap-writeback-swapoff.yaml"), text).unwrap();
    fs_err::write(dir.path().join("mine.yaml"), MINIMAL).unwrap();
    fs_err::write(dir.path().join("other.yaml"), MINIMAL).unwrap();

    let own = Some(dir.path());
    let profile = Profile::load("zswap-writeback-swapoff", own).unwrap();
    assert_eq!(profile.description, "a test");
    assert_eq!(Profile::load("mine", own).unwrap().name, "mine");
    assert_eq!(
        names(own),
        [
            "hotplug",
            "hunt",
            "memcg-offline",
            "mine",
            "mixed",
            "other",
            "shmem",
            "shmem-exit",
            "swapin-threads",
            "writeback-steady",
            "zswap-limit",
            "zswap-writeback-swapoff",
            "zswap-writeback-swapoff-virtual"
        ]
    );

    let error = Profile::load("other", own).unwrap_err().to_string();
    assert!(error.contains("calls itself \"mine\"") && error.contains("name: other"), "{error}");
    let error = Profile::load("shmen", own).unwrap_err().to_string();
    assert!(error.starts_with("there is no profile \"shmen\", did you mean `shmem`?\n"), "{error}");
    let error = Profile::load("../mine", own).unwrap_err().to_string();
    assert!(error.starts_with("there is no profile \"../mine\""), "{error}");
    assert!(
        error.contains(
            "hotplug, hunt, memcg-offline, mine, mixed, other, shmem, shmem-exit, swapin-threads, "
        ),
        "{error}"
    );
}

#[test]
fn a_huge_file_is_not_read() {
    let dir = TempDir::new().unwrap();
    let file = fs_err::File::create(dir.path().join("mine.yaml")).unwrap();
    file.set_len(MOST_BYTES + 1).unwrap();
    let error = Profile::load("mine", Some(dir.path())).unwrap_err().to_string();
    assert!(error.contains("262145 bytes"), "{error}");
}

#[test]
fn race_is_the_race_by_a_shorter_name_but_for_a_profile_of_the_users_own() {
    let race = Profile::load("race", None).unwrap();
    assert_eq!(race, Profile::load("zswap-writeback-swapoff", None).unwrap());
    let dir = TempDir::new().unwrap();
    fs_err::write(dir.path().join("race.yaml"), MINIMAL.replace("mine", "race")).unwrap();
    assert_eq!(Profile::load("race", Some(dir.path())).unwrap().description, "a test");
}

#[test]
fn a_profile_that_was_merged_names_the_one_it_is_part_of() {
    let former = "zswap-writeback-swapoff-6.12";
    let error = Profile::load(former, None).unwrap_err().to_string();
    assert!(error.contains("part of zswap-writeback-swapoff now"), "{error}");
    assert!(error.ends_with("\n  hint: use zswap-writeback-swapoff"), "{error}");
    // The user's own may be called so.
    let dir = TempDir::new().unwrap();
    let text = MINIMAL.replace("mine", former);
    fs_err::write(dir.path().join(format!("{former}.yaml")), text).unwrap();
    assert!(Profile::load(former, Some(dir.path())).is_ok());
}

#[test]
fn the_first_variant_that_suits_a_kernel_is_taken() {
    let profile = read(
        "storm: {workers: 3, pages: 5}\nneeds: [{any_of: [{option: CONFIG_A}], why: x}]\n\
         variants:\n\
         - {name: new, when: [{from: '6.8', before: '7.0'}, {option: CONFIG_B}], why: x,\n\
         \x20  storm: {pages: 7}, guest: {memory_mib: 512}, needs: [{any_of: [{option: CONFIG_C}], why: y}]}\n\
         - {name: old, when: [{before: '6.8', option: CONFIG_D, value: n}], why: x}\n",
    )
    .unwrap();
    let chosen = |version: &str, option: &Options| {
        let fitted = profile.for_kernel(&kernel(version, option)).ok()?;
        assert_eq!(fitted.variants, []);
        fitted.variant
    };
    for (version, option, name) in [
        ("6.8", &NONE as &Options, Some("new")),
        ("6.18", &NONE, Some("new")),
        ("6.7", &NONE, Some("old")),
        ("7.0", &NONE, None),
        // A backport.
        ("6.6", &ALL, Some("new")),
        ("7.1", &ALL, Some("new")),
        ("unknown", &ALL, Some("new")),
        ("unknown", &NONE, None),
    ] {
        assert_eq!(chosen(version, option).as_deref(), name, "{version}");
    }
    let new = profile.for_kernel(&kernel("6.8", &NONE)).unwrap();
    assert_eq!((new.storm.workers, new.storm.pages), (Some(3), Some(7)));
    assert_eq!((new.guest.memory_mib, new.guest.disks), (512, 4));
    assert_eq!(new.unmet(&kernel("6.8", &NONE)).len(), 2);
    let old = profile.for_kernel(&kernel("6.1", &NONE)).unwrap();
    assert_eq!((old.storm.pages, old.guest.memory_mib), (Some(5), 256));
    let error = profile.for_kernel(&kernel("7.0", &NONE)).unwrap_err().to_string();
    let says = "there are new: from Linux 6.8 on and before Linux 7.0 or CONFIG_B=y; \
                old: before Linux 6.8 and CONFIG_D=n";
    assert!(error.ends_with(says), "{error}");
}

#[test]
fn a_condition_says_something_that_can_hold() {
    let variant =
        |when: &str| refusal(&format!("variants: [{{name: a, why: x, when: [{when}]}}]\n"));
    let one = "variants[0].when[0]: expected at least one of `from`, `before`, `option`";
    assert!(variant("{}").contains(one), "{}", variant("{}"));
    assert!(variant("{value: n, from: 6.1}").contains("`value` belongs to `option`"));
    // Not the number 6.1, quotes or none.
    let condition = read("variants: [{name: a, why: x, when: [{from: 6.10}]}]\n").unwrap();
    assert_eq!(condition.variants[0].when[0].from, Some(KernelVersion::new(6, 10)));
    assert!(
        variant("{from: '6.8.1'}")
            .contains("expected a version of the kernel, like 6.12, not \"6.8.1\"")
    );
    let need = |need: &str| refusal(&format!("needs: [{{why: x{need}}}]\n"));
    assert!(need("").contains("needs[0]: expected one of `any_of`, `pool`"));
    let both = need(", pool: writeback, any_of: [{option: CONFIG_A}]");
    assert!(both.contains("expected only one of `any_of`, `pool`"), "{both}");
    assert!(need(", pool: speed").contains("unknown word `speed`, expected one of `writeback`"));
    assert!(need(", any_of: []").contains("needs[0].any_of: the list is empty"));
}

#[test]
fn the_race_has_a_variant_for_each_shape_of_zswap() {
    let profile = Profile::load("zswap-writeback-swapoff", None).unwrap();
    for (version, variant, zpool) in [
        ("6.1", "small-pool", Some("zbud")),
        ("6.6", "small-pool", Some("zbud")),
        ("6.8", "shrinker", None),
        ("6.12", "shrinker", None),
        ("7.3", "shrinker", None),
    ] {
        let fitted = profile.for_kernel(&kernel(version, &NONE)).unwrap();
        assert_eq!(fitted.variant.as_deref(), Some(variant), "{version}");
        assert_eq!(fitted.storm.zpool.as_deref(), zpool, "{version}");
    }
}

#[test]
fn the_hotplug_storm_takes_cpus_off_on_every_shape_of_zswap() {
    let profile = Profile::load("hotplug", None).unwrap();
    for (version, variant) in [("6.1", "small-pool"), ("6.8", "shrinker"), ("7.3", "shrinker")] {
        let fitted = profile.for_kernel(&kernel(version, &NONE)).unwrap();
        assert_eq!(fitted.variant.as_deref(), Some(variant), "{version}");
        assert!(fitted.guest.cpus > 1, "the first one stays");
        let words = fitted.cmdline(1, "t", 1);
        assert!(words.contains(" swapstorm.hotplug=on swapstorm.cpu_on_ms="), "{words}");
    }
    let fixed = |option: &str| (option != "CONFIG_HOTPLUG_CPU").then(|| "y".to_owned());
    let fitted = profile.for_kernel(&kernel("6.1", &NONE)).unwrap();
    assert_eq!(fitted.unmet(&kernel("6.1", &ALL)), []);
    let kernel = kernel("6.1", &fixed);
    let unmet: Vec<String> = fitted.unmet(&kernel).iter().map(ToString::to_string).collect();
    assert_eq!(unmet, ["needs CONFIG_HOTPLUG_CPU=y (it is n): CPUs must be able to go offline"]);
}

#[test]
fn the_first_fix_that_fits_a_kernel_is_its_fix() {
    let profile = read("fixes: [{series: a, kernels: [x, y]}, {series: b}]\n").unwrap();
    assert_eq!([profile.fix_for("y"), profile.fix_for("z")], [Some("a"), Some("b")]);
    assert_eq!(read("fixes: [{series: a, kernels: [x]}]\n").unwrap().fix_for("z"), None);
    for (name, series, technique) in [
        ("hotplug", "zswap-cpu-hotplug-6.1", Technique::Natural),
        ("shmem", "shmem-swapin-swapoff-6.1", Technique::Stretch),
        ("zswap-writeback-swapoff", "zswap-writeback-swapoff-6.1", Technique::Stretch),
    ] {
        let profile = Profile::load(name, None).unwrap();
        assert_eq!(profile.technique, technique);
        assert_eq!(profile.fix_for("debian-6.1"), Some(series));
    }
}

#[test]
fn a_pool_that_cannot_write_back_is_an_unmet_need() {
    let pool = |storm: &str, version: &str, set: &'static [(&str, &str)]| {
        let profile = read(&format!("storm: {{{storm}}}\nneeds: [{{pool: writeback, why: x}}]\n"));
        let option = |name: &str| {
            let found = set.iter().find(|(option, _)| *option == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let profile = profile.unwrap();
        let unmet = profile.unmet(&kernel(version, &option));
        unmet.first().map(ToString::to_string)
    };
    let zsmalloc = &[("CONFIG_ZSMALLOC", "y")];
    assert_eq!(pool("", "7.3", zsmalloc), None);
    assert_eq!(pool("zpool: zsmalloc", "6.3", zsmalloc), None);
    let says = pool("zpool: zsmalloc", "6.1", zsmalloc).unwrap();
    assert_eq!(
        says,
        "needs a zswap pool that can write back (the storm's pool, zsmalloc, can from Linux 6.3 on, \
         and this is 6.1): x"
    );
    // What the kernel takes by itself counts where the storm does not say.
    let by_default: &[_] = &[("CONFIG_ZSWAP_ZPOOL_DEFAULT", "\"zbud\""), ("CONFIG_ZBUD", "y")];
    assert_eq!(pool("", "6.1", by_default), None);
    let other: &[_] = &[("CONFIG_ZSWAP_ZPOOL_DEFAULT", "\"zsmalloc\""), ("CONFIG_ZSMALLOC", "y")];
    assert!(pool("", "6.1", other).unwrap().contains("the kernel's default pool, zsmalloc"));
    // zbud is gone.
    let says = pool("zpool: zbud", "7.3", zsmalloc).unwrap();
    assert!(says.contains("the storm's pool is zbud, and CONFIG_ZBUD is not y"), "{says}");
    assert!(pool("zpool: mine", "7.3", zsmalloc).unwrap().contains("mine, is not known to"));
    assert!(pool("zswap: false", "7.3", zsmalloc).unwrap().contains("switches zswap off"));
}

#[test]
fn unmet_needs_say_what_was_asked_what_is_and_why() {
    let profile = Profile::load("zswap-writeback-swapoff", None).unwrap();
    let profile = profile.for_kernel(&kernel("6.1", &NONE)).unwrap();
    assert_eq!(profile.unmet(&kernel("6.1", &ALL)), []);

    let dynamic = |option: &str| (option != "CONFIG_PREEMPT").then(|| "y".to_owned());
    assert_eq!(profile.unmet(&kernel("6.1", &dynamic)), [], "one alternative is enough");

    let voluntary = |option: &str| (!option.starts_with("CONFIG_PREEMPT")).then(|| "y".to_owned());
    let kernel = kernel("6.1", &voluntary);
    let unmet = profile.unmet(&kernel);
    assert_eq!(unmet.len(), 1);
    let words = unmet[0].to_string();
    assert!(
        words.starts_with(
            "needs CONFIG_PREEMPT=y (it is n) or CONFIG_PREEMPT_DYNAMIC=y (it is n): swapoff waits"
        ),
        "{words}"
    );
}
