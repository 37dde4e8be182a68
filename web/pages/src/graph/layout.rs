//! Where the nodes and edges of a layered graph go: Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of
//! Hierarchical System Structures" (1981), in its usual steps: ranks, crossings reduced by medians, positions pulled
//! towards neighbours, edges as splines through one point on every rank they pass.

/// A node's size and, once laid out, its centre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Centre, along the ranks.
    pub x: f64,
    /// Centre, across the ranks.
    pub y: f64,
}

/// What was laid out. Ranks go from left to right.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// Width of the whole.
    pub width: f64,
    /// Height of the whole.
    pub height: f64,
    /// Centres of the nodes, in their order.
    pub nodes: Vec<Place>,
    /// The points every edge goes through, from the right border of its source to the left border of its target.
    pub edges: Vec<Vec<Place>>,
}

/// Distances, in the unit of the sizes.
#[derive(Debug, Clone, Copy)]
pub struct Spacing {
    /// Width of a node.
    pub node_width: f64,
    /// Height of a node.
    pub node_height: f64,
    /// Between ranks.
    pub rank_gap: f64,
    /// Between the nodes of a rank.
    pub node_gap: f64,
    /// Height kept free for an edge that passes a rank.
    pub lane: f64,
}

/// Passes over the ranks, forth and back, to reduce crossings and to straighten.
const SWEEPS: usize = 12;

/// A node, or the point at which an edge passes a rank.
struct Item {
    rank: usize,
    before: Vec<usize>,
    after: Vec<usize>,
    height: f64,
    y: f64,
    real: bool,
}

/// Lays out `count` nodes in topological order; every edge goes from a smaller to a larger one.
pub fn layout(count: usize, edges: &[(usize, usize)], spacing: &Spacing) -> Layout {
    let rank = ranks(count, edges);
    let mut items: Vec<Item> = (0..count)
        .map(|node| Item {
            rank: rank[node],
            before: Vec::new(),
            after: Vec::new(),
            height: spacing.node_height,
            y: 0.0,
            real: true,
        })
        .collect();
    let mut chains: Vec<Vec<usize>> = Vec::with_capacity(edges.len());
    for (from, to) in edges {
        let mut chain = vec![*from];
        for passed in rank[*from] + 1..rank[*to] {
            let item =
                Item { rank: passed, before: Vec::new(), after: Vec::new(), height: spacing.lane, y: 0.0, real: false };
            items.push(item);
            chain.push(items.len() - 1);
        }
        chain.push(*to);
        for pair in chain.windows(2) {
            items[pair[0]].after.push(pair[1]);
            items[pair[1]].before.push(pair[0]);
        }
        chains.push(chain);
    }
    let mut rows = vec![Vec::new(); rank.iter().max().map_or(0, |last| last + 1)];
    for (index, item) in items.iter().enumerate() {
        rows[item.rank].push(index);
    }
    order(&items, &mut rows);
    position(&mut items, &rows, spacing.node_gap);
    let top = items.iter().map(|item| item.y - item.height / 2.0).fold(f64::INFINITY, f64::min);
    let bottom = items.iter().map(|item| item.y + item.height / 2.0).fold(f64::NEG_INFINITY, f64::max);
    let step = spacing.node_width + spacing.rank_gap;
    let centre = |item: &Item| Place { x: item.rank as f64 * step + spacing.node_width / 2.0, y: item.y - top };
    let edges = chains
        .iter()
        .map(|chain| {
            let mut points = Vec::with_capacity(chain.len() * 2);
            let last = chain.len() - 1;
            for (at, item) in chain.iter().enumerate() {
                let Place { x, y } = centre(&items[*item]);
                let half = spacing.node_width / 2.0;
                if at > 0 {
                    points.push(Place { x: x - half, y });
                }
                if at < last {
                    points.push(Place { x: x + half, y });
                }
            }
            points
        })
        .collect();
    Layout {
        width: rows.len() as f64 * step - if rows.is_empty() { 0.0 } else { spacing.rank_gap },
        height: if count == 0 { 0.0 } else { bottom - top },
        nodes: items.iter().take(count).map(centre).collect(),
        edges,
    }
}

/// The longest way from a source; then sources move as far to the right as what needs them allows.
fn ranks(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut after = vec![Vec::new(); count];
    let mut has_before = vec![false; count];
    for (from, to) in edges {
        after[*from].push(*to);
        has_before[*to] = true;
    }
    let mut rank = vec![0; count];
    for node in 0..count {
        for next in &after[node] {
            rank[*next] = rank[*next].max(rank[node] + 1);
        }
    }
    for node in (0..count).rev().filter(|node| !has_before[*node]) {
        if let Some(first) = after[node].iter().map(|next| rank[*next]).min() {
            rank[node] = first - 1;
        }
    }
    rank
}

/// Orders every rank by the medians of the neighbours (Eades and Wormald 1994), forth and back, and keeps the best.
fn order(items: &[Item], rows: &mut [Vec<usize>]) {
    let mut best = (crossings(items, rows), rows.to_vec());
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        let turns: Vec<usize> =
            if down { (1..rows.len()).collect() } else { (0..rows.len().saturating_sub(1)).rev().collect() };
        for at in turns {
            let beside = if down { &rows[at - 1] } else { &rows[at + 1] };
            let mut place = std::collections::HashMap::with_capacity(beside.len());
            place.extend(beside.iter().enumerate().map(|(place, item)| (*item, place as f64)));
            let mut wanted: Vec<(f64, usize)> = Vec::with_capacity(rows[at].len());
            for (now, item) in rows[at].iter().enumerate() {
                let neighbours = if down { &items[*item].before } else { &items[*item].after };
                let mut places: Vec<f64> =
                    neighbours.iter().filter_map(|neighbour| place.get(neighbour).copied()).collect();
                places.sort_by(f64::total_cmp);
                // Without neighbours there, it stays about where it is.
                let scale = beside.len() as f64 / rows[at].len().max(1) as f64;
                wanted.push((median(&places).unwrap_or(now as f64 * scale), *item));
            }
            wanted.sort_by(|a, b| a.0.total_cmp(&b.0));
            rows[at] = wanted.into_iter().map(|(_, item)| item).collect();
        }
        let count = crossings(items, rows);
        if count < best.0 {
            best = (count, rows.to_vec());
        }
        if best.0 == 0 {
            break;
        }
    }
    rows.clone_from_slice(&best.1);
}

fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// Crossings between neighbouring ranks: inversions of the targets when edges are sorted by their sources, counted in a
/// Fenwick tree (Barth, Jünger and Mutzel 2002).
fn crossings(items: &[Item], rows: &[Vec<usize>]) -> usize {
    let mut place = vec![0; items.len()];
    for row in rows {
        for (at, item) in row.iter().enumerate() {
            place[*item] = at;
        }
    }
    let mut count = 0;
    for pair in rows.windows(2) {
        let mut tree = vec![0_usize; pair[1].len() + 1];
        let mut seen = 0;
        for item in &pair[0] {
            let mut targets: Vec<usize> = items[*item].after.iter().map(|to| place[*to]).collect();
            targets.sort_unstable();
            for target in &targets {
                // How many earlier edges end at or before this target.
                let (mut at, mut below) = (target + 1, 0);
                while at > 0 {
                    below += tree[at];
                    at &= at - 1;
                }
                count += seen - below;
            }
            for target in targets {
                seen += 1;
                let mut at = target + 1;
                while at < tree.len() {
                    tree[at] += 1;
                    at += at & at.wrapping_neg();
                }
            }
        }
    }
    count
}

/// Pulls every item towards the middle of its neighbours without changing the order of a rank.
fn position(items: &mut [Item], rows: &[Vec<usize>], gap: f64) {
    for row in rows {
        let mut y = 0.0;
        for item in row {
            items[*item].y = y + items[*item].height / 2.0;
            y += items[*item].height + gap;
        }
        let middle = (y - gap) / 2.0;
        row.iter().for_each(|item| items[*item].y -= middle);
    }
    for sweep in 0..SWEEPS * 2 {
        let turns: Vec<usize> =
            if sweep % 2 == 0 { (0..rows.len()).collect() } else { (0..rows.len()).rev().collect() };
        for at in turns {
            let row = &rows[at];
            let wanted: Vec<(f64, f64)> = row
                .iter()
                .map(|item| {
                    let item = &items[*item];
                    let neighbours = item.before.iter().chain(&item.after);
                    // The points of a passing edge hold together more than anything else: long edges are straight.
                    let pulls = neighbours.map(|other| {
                        let other = &items[*other];
                        let weight = if !item.real && !other.real {
                            8.0
                        } else if !item.real || !other.real {
                            2.0
                        } else {
                            1.0
                        };
                        (other.y * weight, weight)
                    });
                    let (sum, weight) = pulls.fold((0.0, 0.0), |(sum, all), (y, weight)| (sum + y, all + weight));
                    if weight == 0.0 { (item.y, 0.1) } else { (sum / weight, weight) }
                })
                .collect();
            settle(items, row, &wanted, gap);
        }
    }
}

/// The positions nearest to the wanted ones (least squares) that keep order and distance: neighbours that would overlap are
/// merged into blocks that move as one (pool adjacent violators).
fn settle(items: &mut [Item], row: &[usize], wanted: &[(f64, f64)], gap: f64) {
    // Offsets inside the row, were everything packed: what is left to choose only has to grow.
    let mut offsets = Vec::with_capacity(row.len());
    let mut offset = 0.0;
    for (at, item) in row.iter().enumerate() {
        if at > 0 {
            offset += (items[row[at - 1]].height + items[*item].height) / 2.0 + gap;
        }
        offsets.push(offset);
    }
    // Blocks: how many items, the sum of weighted wishes, the sum of weights.
    let mut blocks: Vec<(usize, f64, f64)> = Vec::with_capacity(row.len());
    for ((wish, weight), offset) in wanted.iter().zip(&offsets) {
        blocks.push((1, (wish - offset) * weight, *weight));
        while let [.., before, last] = blocks[..]
            && before.1 / before.2 > last.1 / last.2
        {
            blocks.truncate(blocks.len() - 2);
            blocks.push((before.0 + last.0, before.1 + last.1, before.2 + last.2));
        }
    }
    let mut at = 0;
    for (count, sum, weight) in blocks {
        for _ in 0..count {
            items[row[at]].y = sum / weight + offsets[at];
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACING: Spacing =
        Spacing { node_width: 100.0, node_height: 40.0, rank_gap: 60.0, node_gap: 20.0, lane: 10.0 };

    fn apart(layout: &Layout) {
        for (a, first) in layout.nodes.iter().enumerate() {
            for second in &layout.nodes[a + 1..] {
                let meet =
                    (first.x - second.x).abs() < SPACING.node_width && (first.y - second.y).abs() < SPACING.node_height;
                assert!(!meet, "{first:?} {second:?}");
            }
        }
        for place in &layout.nodes {
            assert!(place.x >= 50.0 - 1e-6 && place.x <= layout.width - 50.0 + 1e-6, "{place:?}");
            assert!(place.y >= 20.0 - 1e-6 && place.y <= layout.height - 20.0 + 1e-6, "{place:?}");
        }
    }

    #[test]
    fn a_chain_is_a_straight_line() {
        let layout = layout(4, &[(0, 1), (1, 2), (2, 3)], &SPACING);
        apart(&layout);
        assert!(layout.nodes.windows(2).all(|pair| pair[0].x < pair[1].x && (pair[0].y - pair[1].y).abs() < 1e-6));
        assert_eq!((layout.width, layout.height), (4.0 * 160.0 - 60.0, 40.0));
    }

    #[test]
    fn crossings_that_need_not_be_are_not() {
        // 0 and 1 above 2 and 3, connected crosswise: the second rank is turned round.
        let layout = layout(4, &[(0, 3), (1, 2)], &SPACING);
        assert_eq!(layout.nodes[0].y < layout.nodes[1].y, layout.nodes[3].y < layout.nodes[2].y);
        apart(&layout);
    }

    #[test]
    fn an_edge_over_several_ranks_keeps_clear_of_the_nodes_it_passes() {
        let layout = layout(4, &[(0, 1), (1, 2), (2, 3), (0, 3)], &SPACING);
        let long = &layout.edges[3];
        assert_eq!(long.len(), 6);
        for point in &long[1..5] {
            for node in &layout.nodes {
                let inside = (point.x - node.x).abs() < 49.0 && (point.y - node.y).abs() < 20.0;
                assert!(!inside, "{point:?} {node:?}");
            }
        }
    }

    #[test]
    fn two_hundred_nodes_do_not_overlap() {
        let edges: Vec<(usize, usize)> = (10..200)
            .flat_map(|node| [(node - 10 + node * 7 % 10 / 3, node), (node - 10, node)])
            .filter(|(a, b)| a < b)
            .collect();
        apart(&layout(200, &edges, &SPACING));
        assert_eq!(layout(0, &[], &SPACING).nodes, []);
    }
}
