// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernels whose writeback is compared with that of the kernel as it is, beside whatever else this machine does.

use serde_json::Value;

use crate::support::Scene;

/// Eight pairs of storms of that length, on the kernel as it is and with that series, judged by the writebacks alone. The exit
/// code, and the comparison.
fn compared(series: &str, storm: &str) -> (Option<i32>, Value) {
    let scene = Scene::new();
    let ran = scene.run(&[
        "compare",
        "--series",
        series,
        "--storm",
        storm,
        "--metric",
        "writebacks-per-store",
        "--seed",
        "1",
        "--pairs",
        "8",
        "--format",
        "json",
    ]);
    (ran.code, serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.stderr)))
}

#[test]
fn a_kernel_that_hardly_writes_back_is_a_regression_at_the_first_look() {
    let (code, comparison) = compared("writeback-crippled-6.1", "2s");
    assert_eq!(code, Some(1), "{comparison:#}");
    assert_eq!(comparison["answer"]["answer"], "regression", "{comparison:#}");
    assert_eq!(comparison["pairs"].as_array().unwrap().len(), 8, "{comparison:#}");
}

/// The control: so few pairs may be too few to tell that nothing changed, but nothing did.
#[test]
fn a_kernel_whose_code_merely_lies_elsewhere_is_none() {
    let (code, comparison) = compared("writeback-same-6.1", "2s");
    assert!(matches!(code, Some(0 | 4)), "{code:?} {comparison:#}");
    let answer = &comparison["answer"]["answer"];
    assert!(answer == "no-regression" || answer == "too-few", "{comparison:#}");
    assert_eq!(comparison["pairs"].as_array().unwrap().len(), 8, "{comparison:#}");
}
