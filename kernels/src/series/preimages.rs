// SPDX-License-Identifier: MIT OR Apache-2.0
//! What files a series was made from, as git writes it into its diffs: `index OLD..NEW`.

use std::collections::BTreeMap;

use super::types::Series;

/// Shortest abbreviation of a blob's id that is believed.
const SHORTEST: usize = 7;

/// Files by their paths, with the beginnings of their blobs' ids before the series; zeros if
/// the series makes the file. `None` if some diff does not say it.
pub(crate) fn preimages(series: &Series) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for patch in &series.patches {
        // Lines of hunks begin with a blank, `+` or `-`: two of them look like names.
        let (mut id, mut names) = (None, Vec::new());
        for line in patch.bytes().split(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(line);
            if line.starts_with("diff --git ") {
                (id, names) = (None, Vec::new());
            } else if let Some(ids) = line.strip_prefix("index ") {
                id = ids.split_once("..").map(|(old, _)| old.to_owned());
            } else if let Some(name) = line.strip_prefix("--- ").or(line.strip_prefix("+++ "))
                && names.len() < 2
            {
                names.push(name.split_once('/').map_or("", |(_, name)| name).trim_end().to_owned());
                let file = names.iter().find(|name| patch.files.contains(*name));
                if let (2, Some(file), Some(id)) = (names.len(), file, &id) {
                    found.entry(file.clone()).or_insert_with(|| id.clone());
                }
            }
        }
    }
    let good = |id: &String| id.len() >= SHORTEST && id.bytes().all(|b| b.is_ascii_hexdigit());
    let all = series.files().into_iter().all(|file| found.get(file).is_some_and(good));
    (all && !found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<BTreeMap<String, String>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), text).unwrap();
        preimages(&crate::Library::default().series(file.path().to_str().unwrap()).unwrap())
    }

    const DIFF: &str = "diff --git a/mm/a.c b/mm/a.c
index 1234567..89abcde 100644
--- a/mm/a.c
+++ b/mm/a.c
@@ -1,2 +1,1 @@
--- a/mm/evil.c
 index 9999999..0000000
diff --git a/mm/n.c b/mm/n.c
new file mode 100644
index 0000000..7654321
--- /dev/null
+++ b/mm/n.c
@@ -0,0 +1 @@
+n
";

    #[test]
    fn ids_come_from_headers_and_the_first_of_a_file_counts() {
        let later = DIFF.replace("1234567", "aaaaaaa").replace("/mm/n.c", "/mm/a.c");
        let found = read(&format!(
            "{DIFF}{}",
            &later[..later.find("diff --git a/mm/a.c b/mm/a.c\nnew").unwrap()]
        ));
        let expected = [("mm/a.c", "1234567"), ("mm/n.c", "0000000")];
        assert_eq!(found, Some(expected.map(|(f, id)| (f.to_owned(), id.to_owned())).into()));
        assert_eq!(read(&DIFF.replace("index 1234567..89abcde 100644\n", "")), None);
        assert_eq!(read(&DIFF.replace("1234567", "123")), None);
    }
}
