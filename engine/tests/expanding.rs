//! A stage that proposes its children while the run goes on: cached, side by side, replayed, and what a failure does.

#[expect(dead_code, reason = "this test uses a part of it")]
mod yard;

use engine::event::{Event, Outcome};
use engine::graph::StageSpec;
use engine::run::driver::{CancellationToken, End, RunOptions};
use serde_json::{Value, json};

use yard::{Connect, House, Ran, fake, shell};

fn bisect(more: Value) -> StageSpec {
    let mut params = json!({"high": 100, "target": 2000, "ways": 1});
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    StageSpec { name: "root".into(), kind: "bisect".into(), params, ..StageSpec::default() }
}

fn stages(more: Value) -> Vec<StageSpec> {
    vec![bisect(more), fake("below", json!({"do": "copy"})).input("data", "root")]
}

/// How many children really ran so far.
fn tries(house: &House) -> usize {
    std::fs::read_to_string(house.root.join("tries.log")).unwrap_or_default().lines().count()
}

fn rounds(ran: &Ran) -> Vec<Vec<String>> {
    let round = |event: &Event| match event {
        Event::StageExpanded { stage, children } if stage == "root" => Some(children.clone()),
        _ => None,
    };
    ran.events.iter().filter_map(round).collect()
}

fn told(house: &House, ran: &Ran) -> String {
    let stage = ran.summary().stages.iter().find(|stage| stage.stage == "root").unwrap();
    let digest: cache::Digest = stage.outputs["told"].parse().unwrap();
    String::from_utf8(house.store().read(&digest).unwrap()).unwrap()
}

#[test]
fn children_are_proposed_from_what_has_finished_and_the_next_run_is_one_hit() {
    let house = House::new();
    let first = house.run(stages(json!({})));
    first.is_well_formed();
    assert_eq!(first.summary().outcome, Outcome::Success, "{:#?}", first.events);
    // 44² = 1936 ≤ 2000 < 45²; each child was proposed from the one before.
    assert_eq!(
        rounds(&first),
        [["root[50]"], ["root[25]"], ["root[37]"], ["root[43]"], ["root[46]"], ["root[44]"], ["root[45]"]]
    );
    assert_eq!(told(&house, &first), "44 after 7 (seed 0)\n");
    assert_eq!(tries(&house), 7);
    let second = house.run(stages(json!({})));
    second.did(&[], &["root", "below"]).is_well_formed();
    assert_eq!(second.output("root"), first.output("root"));
    assert_eq!(tries(&house), 7);
}

#[test]
fn another_search_shares_the_children_it_has_in_common() {
    let house = House::new();
    house.run(stages(json!({})));
    // 1600 = 40²: the first tries are the same.
    let other = house.run(stages(json!({"target": 1600})));
    let hits = other.summary().ended(End::Hit);
    for shared in ["root[50]", "root[25]", "root[37]", "root[43]"] {
        assert!(hits.contains(&shared), "{hits:?}");
    }
    assert!(told(&house, &other).starts_with("40 after "));
    assert_eq!(
        tries(&house),
        7 + other.summary().stages.iter().filter(|s| s.end == End::Ran && s.stage.contains('[')).count()
    );
}

#[test]
fn a_round_runs_side_by_side_under_the_same_slots_and_gives_the_same() {
    let wide = House::new();
    let many = wide.run(stages(json!({"ways": 9})));
    assert_eq!(rounds(&many)[0].len(), 9);
    let narrow = House::new();
    let options = RunOptions { jobs: Some(1), ..narrow.options.clone() };
    let one = narrow.run_with(stages(json!({"ways": 9})), &options, &CancellationToken::new());
    assert_eq!(rounds(&one), rounds(&many));
    assert_eq!(told(&narrow, &one), told(&wide, &many));
    // One slot, and the parent holds none: had it held one, nothing could have run.
    assert_eq!(one.summary().outcome, Outcome::Success);
    let running = |ran: &Ran| {
        let (mut now, mut most) = (0_i32, 0);
        for event in &ran.events {
            match event {
                Event::StageStarted { stage, .. } if stage.contains('[') => now += 1,
                Event::StageDone { stage, .. } if stage.contains('[') => now -= 1,
                _ => {}
            }
            most = most.max(now);
        }
        most
    };
    assert_eq!(running(&one), 1);
    assert!(running(&many) <= 4, "two at work, and two that are being recorded");
}

#[test]
fn what_a_killed_run_had_finished_is_replayed() {
    let house = House::new();
    // The fifth proposal fails: as good as a crash between two rounds.
    let broken = house.run(stages(json!({"fail": 46})));
    assert_eq!(broken.summary().outcome, Outcome::Failed);
    let fault = broken.fault("root");
    assert_eq!(fault.code, "expand::child_failed");
    assert!(fault.message.contains("`root[46]`"), "{}", fault.message);
    assert_eq!(broken.summary().ended(End::Skipped), ["below"]);
    assert_eq!(tries(&house), 4);
    // The parent was not recorded; its children were.
    let again = house.run(stages(json!({})));
    assert_eq!(again.summary().outcome, Outcome::Success);
    assert_eq!(again.summary().ended(End::Hit), ["root[50]", "root[25]", "root[37]", "root[43]"]);
    assert_eq!(told(&house, &again), "44 after 7 (seed 0)\n");
    assert_eq!(tries(&house), 7);
}

#[test]
fn children_read_what_is_connected_to_their_parent() {
    let house = House::new();
    house.write("a.txt", "1\n");
    let all = || {
        vec![
            shell("data", "cat a.txt > b.txt", &["a.txt"], &["b.txt"]),
            bisect(json!({"high": 8, "target": 10})).input("data", "data"),
        ]
    };
    let first = house.run(all());
    assert_eq!(first.summary().outcome, Outcome::Success, "{:#?}", first.events);
    let ran = tries(&house);
    house.write("a.txt", "2\n");
    let second = house.run(all());
    assert_eq!(second.summary().ended(End::Hit), Vec::<&str>::new());
    assert_eq!(tries(&house), 2 * ran);
}

#[test]
fn a_proposal_that_cannot_be_is_a_failure_of_the_parent() {
    let house = House::new();
    let ran = house.run(stages(json!({"kind": "nonsense"})));
    let fault = ran.fault("root");
    assert_eq!(fault.code, "expand::proposal");
    assert!(fault.message.contains("`nonsense`"), "{}", fault.message);
    assert_eq!(ran.summary().ended(End::Failed), ["root"]);
    assert_eq!(ran.summary().ended(End::Skipped), ["below"]);
}

#[test]
fn a_cancelled_search_ends_and_goes_on_where_it_was() {
    let house = House::new();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let ran = house.run_with(stages(json!({})), &house.options, &cancel);
    assert_eq!(ran.summary().outcome, Outcome::Cancelled);
    ran.is_well_formed();
    assert_eq!(house.run(stages(json!({}))).summary().outcome, Outcome::Success);
}

#[test]
fn a_stage_finishes_in_its_own_worker_with_what_its_children_gave() {
    let house = House::new();
    let gather = |name: &str, texts: Value| {
        let params = json!({"texts": texts, "do": "copy", "text": "!", "log": "finish.log"});
        StageSpec { name: name.into(), kind: "gather".into(), params, ..StageSpec::default() }
    };
    let text = |ran: &Ran, stage: &str| {
        let bytes = house.store().read(&ran.output(stage).parse().unwrap()).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let lines = |name: &str| {
        let text = std::fs::read_to_string(house.root.join(name)).unwrap_or_default();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    // A child of a `matrix` that works through children of its own keeps its whole name.
    let ran = house.run(vec![gather("sum[seed=1]", json!(["a", "b", "c"]))]);
    assert_eq!(ran.summary().outcome, Outcome::Success, "{:#?}", ran.events);
    assert_eq!(text(&ran, "sum[seed=1]"), "cba!");
    assert_eq!(lines("children.log"), ["sum[seed=1][0]", "sum[seed=1][1]", "sum[seed=1][2]"]);
    assert_eq!(lines("finish.log"), ["sum[seed=1][finish]"]);

    // The same again is one hit; a further child runs alone, and the stage finishes anew.
    house.run(vec![gather("sum[seed=1]", json!(["a", "b", "c"]))]).did(&[], &["sum[seed=1]"]);
    let more = house.run(vec![gather("other", json!(["a", "b", "c", "d"]))]);
    assert_eq!(text(&more, "other"), "dcba!");
    assert_eq!(lines("children.log").len(), 4, "three children were shared");
    assert_eq!(lines("finish.log").len(), 2);
}
