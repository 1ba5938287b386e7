// SPDX-License-Identifier: MIT OR Apache-2.0
use std::os::unix::fs::MetadataExt;

use tempfile::TempDir;

use super::*;

struct Bench {
    dir: TempDir,
    store: Store,
    programs: BTreeMap<String, PathBuf>,
}

fn bench() -> Bench {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    let agent = dir.path().join("agent");
    fs_err::write(&agent, "not really").unwrap();
    Bench { dir, store, programs: BTreeMap::from([("agent".to_owned(), agent)]) }
}

impl Bench {
    async fn build(&self, recipe: &Recipe) -> Result<ImageArtifact, ImageError> {
        let (store, programs) = (&self.store, &self.programs);
        let arch = &host::arch::X86_64;
        build(recipe, Supplies { arch, programs, mirror: None, store, notice: &|_| () }).await
    }
}

#[tokio::test]
async fn the_same_inputs_give_the_same_bytes_and_are_written_once() {
    let (one, two) = (bench(), bench());
    let recipe = Recipe::built_in("agent").unwrap();
    let first = one.build(&recipe).await.unwrap();
    let other = two.build(&recipe).await.unwrap();
    assert_eq!(first.key, other.key);
    assert_eq!(fs_err::read(&first.path).unwrap(), fs_err::read(&other.path).unwrap());

    let inode = fs_err::metadata(&first.path).unwrap().ino();
    assert_eq!(one.build(&recipe).await.unwrap(), first);
    assert_eq!(fs_err::metadata(&first.path).unwrap().ino(), inode);
}

#[tokio::test]
async fn another_program_is_another_image() {
    let bench = bench();
    let recipe = Recipe::built_in("agent").unwrap();
    let before = bench.build(&recipe).await.unwrap();
    fs_err::write(&bench.programs["agent"], "new").unwrap();
    let after = bench.build(&recipe).await.unwrap();
    assert_ne!(before.key, after.key);
}

#[tokio::test]
async fn an_image_holds_the_users_files_texts_and_links() {
    let bench = bench();
    let path = bench.dir.path().join("mine.yaml");
    fs_err::write(bench.dir.path().join("note"), "to the guest").unwrap();
    let text = "description: x\nlinks: [{path: /n, to: etc/note}]\n\
                files: [{path: /etc/note, source: note}, {path: /etc/motd, text: good morning}]\n\
                applets: [{to: busybox, folder: /bin, names: [sh, ls]}]\n";
    fs_err::write(&path, text).unwrap();
    let recipe = Recipe::from_file(&path).unwrap();
    let image = bench.build(&recipe).await.unwrap();
    let archive = fs_err::read(image.path).unwrap();
    for expected in ["to the guest", "good morning", "bin/sh\0", "bin/ls\0"] {
        let mut windows = archive.windows(expected.len());
        assert!(windows.any(|window| window == expected.as_bytes()), "{expected}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_recipe_is_said() {
    let bench = bench();
    let cases = [
        ("programs: [{path: /init, program: cake}]", "the program \"cake\" at \"/init\""),
        ("dirs: [/../etc]", "\"/../etc\" cannot be a path in an image"),
        ("files: [{path: /x, source: nothing-here}]", "nothing-here"),
        (
            "dirs: [/init]\nprograms: [{path: /init, program: agent}]",
            "\"/init\" is in the image twice",
        ),
    ];
    for (text, expected) in cases {
        let recipe = Recipe::from_yaml("r.yaml", &format!("description: x\n{text}\n")).unwrap();
        let error = bench.build(&recipe).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn what_built_in_recipes_name_can_lie_where_it_should() {
    let bench = bench();
    for (name, paths) in [("agent", 5), ("shell", 150)] {
        let recipe = Recipe::built_in(name).unwrap();
        let tree = plant(&recipe, &bench.programs, &mut MOST_BYTES.clone()).unwrap();
        assert!(tree.iter().count() >= paths, "{name}");
        assert!(matches!(tree.get("/init"), Some(Node::File { executable: true, .. })), "{name}");
    }
}

#[tokio::test]
async fn an_image_has_its_bound() {
    let bench = bench();
    let huge = fs_err::File::create(bench.dir.path().join("huge")).unwrap();
    huge.set_len(MOST_BYTES).unwrap();
    let mut recipe = Recipe::built_in("agent").unwrap();
    recipe.files.push(crate::ExtraFile {
        path: "/huge".into(),
        contents: FileContents::Source(bench.dir.path().join("huge")),
        executable: false,
    });
    let error = bench.build(&recipe).await.unwrap_err();
    assert!(matches!(error, ImageError::TooLarge { path } if path == "/huge"));
}
