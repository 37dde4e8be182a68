//! Pure graph algorithms: order, cycles, reachability. Nothing here knows what a stage is.
//!
//! Everything is linear in stages and edges (the order has a logarithm more, for its ties) and nothing
//! recurses: a chain of a hundred thousand stages is an ordinary input.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use petgraph::Direction;
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

/// A graph over the positions `0..len`; an edge goes from what must be done first to what waits for it.
///
/// Edges may be added twice and may close cycles: [`Dag::order`] says so.
#[derive(Debug, Clone, Default)]
pub struct Dag {
    graph: DiGraph<(), ()>,
}

/// What an order over a graph with cycles cannot place, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cyclic {
    /// The positions that could be ordered.
    pub ordered: Vec<u32>,
    /// One shortest cycle of every knot, the shortest first; each begins at its smallest position and leads from
    /// what comes first to what waits for it; the last waits for nothing but is waited for by the first.
    pub cycles: Vec<Vec<u32>>,
}

/// Breadth-first searches spent on making the cycle of one knot short, in edges walked.
const CYCLE_EFFORT: usize = 4_000_000;

impl Dag {
    /// A graph of `len` positions without edges.
    pub fn new(len: usize) -> Self {
        let mut graph = DiGraph::with_capacity(len, len * 2);
        for _ in 0..len {
            graph.add_node(());
        }
        Self { graph }
    }

    /// Number of positions.
    pub fn len(&self) -> usize {
        self.graph.node_count()
    }

    /// Whether there is no position at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets `after` wait for `before`.
    pub fn edge(&mut self, before: u32, after: u32) {
        self.graph.add_edge(node(before), node(after), ());
    }

    /// What waits for a position directly; in no particular order, repeated where the edge is.
    pub fn after(&self, position: u32) -> impl Iterator<Item = u32> + '_ {
        self.graph.neighbors_directed(node(position), Direction::Outgoing).map(position_of)
    }

    /// What a position waits for directly.
    pub fn before(&self, position: u32) -> impl Iterator<Item = u32> + '_ {
        self.graph.neighbors_directed(node(position), Direction::Incoming).map(position_of)
    }

    /// The topological order in which, of all that could come next, the smallest position does.
    ///
    /// # Errors
    /// When there are cycles: what could be ordered, and the cycles.
    pub fn order(&self) -> Result<Vec<u32>, Cyclic> {
        let mut waiting: Vec<u32> = vec![0; self.len()];
        for edge in self.graph.raw_edges() {
            waiting[edge.target().index()] += 1;
        }
        let mut ready: BinaryHeap<Reverse<u32>> =
            (0..self.len() as u32).filter(|position| waiting[*position as usize] == 0).map(Reverse).collect();
        let mut ordered = Vec::with_capacity(self.len());
        while let Some(Reverse(position)) = ready.pop() {
            ordered.push(position);
            for next in self.after(position) {
                waiting[next as usize] -= 1;
                if waiting[next as usize] == 0 {
                    ready.push(Reverse(next));
                }
            }
        }
        if ordered.len() == self.len() { Ok(ordered) } else { Err(Cyclic { ordered, cycles: self.cycles() }) }
    }

    /// One short cycle of every knot (strongly connected component), the shortest first.
    fn cycles(&self) -> Vec<Vec<u32>> {
        let mut cycles: Vec<Vec<u32>> = Vec::new();
        let mut knot_of: Vec<u32> = vec![u32::MAX; self.len()];
        let mut from: Vec<u32> = vec![u32::MAX; self.len()];
        for (number, mut knot) in kosaraju_scc(&self.graph).into_iter().enumerate() {
            knot.sort_unstable();
            for member in &knot {
                knot_of[member.index()] = number as u32;
            }
            if let [only] = knot[..] {
                if self.graph.contains_edge(only, only) {
                    cycles.push(vec![position_of(only)]);
                }
                continue;
            }
            let mut effort = CYCLE_EFFORT;
            let mut best: Option<Vec<u32>> = None;
            for start in &knot {
                let found = self.shortest_through(position_of(*start), &knot_of, &mut from, &mut effort);
                if best.as_ref().is_none_or(|best| found.len() < best.len()) {
                    best = Some(found);
                }
                // Two stages that need each other is as short as a cycle of several can be.
                if effort == 0 || best.as_ref().is_some_and(|best| best.len() <= 2) {
                    break;
                }
            }
            cycles.extend(best);
        }
        for cycle in &mut cycles {
            let smallest = (0..cycle.len()).min_by_key(|index| cycle[*index]).unwrap_or(0);
            cycle.rotate_left(smallest);
        }
        cycles.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
        cycles
    }

    /// The shortest cycle through `start` within its knot. `from` is scratch, left as it was found.
    fn shortest_through(&self, start: u32, knot_of: &[u32], from: &mut [u32], effort: &mut usize) -> Vec<u32> {
        let knot = knot_of[start as usize];
        let mut queue = VecDeque::from([start]);
        let mut seen = vec![];
        let mut cycle = vec![start];
        'search: while let Some(position) = queue.pop_front() {
            for next in self.after(position) {
                *effort = effort.saturating_sub(1);
                if next == start {
                    let mut back = position;
                    while back != start {
                        cycle.push(back);
                        back = from[back as usize];
                    }
                    cycle[1..].reverse();
                    break 'search;
                }
                if knot_of[next as usize] == knot && from[next as usize] == u32::MAX {
                    from[next as usize] = position;
                    seen.push(next);
                    queue.push_back(next);
                }
            }
        }
        for position in seen {
            from[position as usize] = u32::MAX;
        }
        cycle
    }

    /// `starts` and all they wait for, directly or not: what must be there to have `starts`.
    pub fn needed_by(&self, starts: impl IntoIterator<Item = u32>) -> Vec<bool> {
        self.reach(starts, Direction::Incoming)
    }

    /// `starts` and all that waits for them, directly or not: what a change of `starts` can reach.
    pub fn reached_from(&self, starts: impl IntoIterator<Item = u32>) -> Vec<bool> {
        self.reach(starts, Direction::Outgoing)
    }

    fn reach(&self, starts: impl IntoIterator<Item = u32>, direction: Direction) -> Vec<bool> {
        let mut reached = vec![false; self.len()];
        let mut stack: Vec<u32> = Vec::new();
        for start in starts {
            if !std::mem::replace(&mut reached[start as usize], true) {
                stack.push(start);
            }
        }
        while let Some(position) = stack.pop() {
            for next in self.graph.neighbors_directed(node(position), direction) {
                if !std::mem::replace(&mut reached[next.index()], true) {
                    stack.push(position_of(next));
                }
            }
        }
        reached
    }
}

fn node(position: u32) -> NodeIndex {
    NodeIndex::new(position as usize)
}

fn position_of(node: NodeIndex) -> u32 {
    node.index() as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dag(len: usize, edges: &[(u32, u32)]) -> Dag {
        let mut dag = Dag::new(len);
        for (before, after) in edges {
            dag.edge(*before, *after);
        }
        dag
    }

    #[test]
    fn ties_are_broken_by_position() {
        assert_eq!(dag(5, &[(4, 0), (3, 1)]).order(), Ok(vec![2, 3, 1, 4, 0]));
        assert_eq!(dag(0, &[]).order(), Ok(vec![]));
    }

    #[test]
    fn every_knot_gives_its_shortest_cycle_and_the_shortest_comes_first() {
        // 0→1→2→3→0 with the shortcut 2→0; 4→5→4; 6 alone; 7→7; 8 below a knot.
        let edges = [(0, 1), (1, 2), (2, 3), (3, 0), (2, 0), (4, 5), (5, 4), (7, 7), (3, 8)];
        let cyclic = dag(9, &edges).order().unwrap_err();
        assert_eq!(cyclic.ordered, vec![6]);
        assert_eq!(cyclic.cycles, vec![vec![7], vec![4, 5], vec![0, 1, 2]]);
    }

    #[test]
    fn a_very_long_chain_and_a_very_long_cycle_do_not_overflow() {
        let len = 100_000;
        let mut chain = Dag::new(len);
        for position in 1..len as u32 {
            chain.edge(position, position - 1);
        }
        let order = chain.order().unwrap();
        assert_eq!((order[0], order[len - 1]), (len as u32 - 1, 0));
        assert_eq!(chain.needed_by([0]).iter().filter(|needed| **needed).count(), len);
        assert_eq!(chain.reached_from([0]).iter().filter(|reached| **reached).count(), 1);
        chain.edge(0, len as u32 - 1);
        let cyclic = chain.order().unwrap_err();
        assert_eq!(cyclic.cycles.len(), 1);
        assert_eq!(cyclic.cycles[0].len(), len);
    }

    proptest! {
        #[test]
        fn an_order_respects_edges_and_a_cycle_is_one(
            edges in proptest::collection::vec((0u32..12, 0u32..12), 0..30)
        ) {
            let dag = dag(12, &edges);
            match dag.order() {
                Ok(order) => {
                    let mut place = [0; 12];
                    for (index, position) in order.iter().enumerate() {
                        place[*position as usize] = index;
                    }
                    for (before, after) in edges {
                        prop_assert!(place[before as usize] < place[after as usize]);
                    }
                }
                Err(cyclic) => {
                    prop_assert!(!cyclic.cycles.is_empty());
                    for cycle in cyclic.cycles {
                        for (index, position) in cycle.iter().enumerate() {
                            let next = cycle[(index + 1) % cycle.len()];
                            prop_assert!(edges.contains(&(*position, next)));
                        }
                    }
                }
            }
        }
    }
}
