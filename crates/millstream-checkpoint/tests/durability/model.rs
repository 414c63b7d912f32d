//! A model check: three processes claim, write, commit, publish, mark and collect garbage; every interleaving is tried, with lost
//! answers, and the decisions are those of the crate. A process that stops for a while, or for ever, is one that is not chosen.
//!
//! The store of the model is small enough to be copied: entries and files are bits and bytes. `first_at` is not part of any store:
//! it remembers which entry was the first under each number, which is the true chain.

use std::collections::{HashSet, VecDeque};

use millstream_checkpoint::chain::decide::{Standing, Taken, kept, standing, taken_by, was_head};
use millstream_checkpoint::garbage::{GarbageFacts, is_deletable};
use millstream_checkpoint::{Digest, Generation, Link};

const PROCESSES: usize = 3;
const NUMBERS: usize = 14;
/// How many entries one process can create: ids are `process * IDS + count`, from 1.
const IDS: u8 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Entry {
    id: u8,
    generation: u8,
    publishes: bool,
    files: u32,
    before: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    Start,
    Listed(u8),
    Read(u8, Entry),
    Head(u8, Option<Entry>),
    HeadPublished(u8, Entry),
    /// The new entry is about to be created.
    Create,
    /// The name is taken, or the answer was lost: read it.
    Exists,
    Created,
    ListedAfter(u8),
    Owner,
    MayPublish,
    Published,
    Garbage(u16),
    GarbageRead(u8, u32),
    Retired(u32),
    Candidates(u32),
    Fenced,
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Process {
    at: At,
    /// Our newest entry, or the one to be taken over.
    number: u8,
    last: u8,
    generation: u8,
    owns: bool,
    files: u32,
    new: Entry,
    created: u8,
    commits_left: u8,
    claims_left: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    entries: [Option<Entry>; NUMBERS],
    first_at: [u8; NUMBERS],
    published: [u8; NUMBERS],
    committed: u16,
    files: u32,
    /// Generation and number in each file's name.
    names: [(u8, u8); 16],
    processes: [Process; PROCESSES],
}

fn link(id: u8) -> Link {
    Link { owner: ["-", "a", "b", "c"][usize::from(id.div_ceil(IDS))].into(), hash: Digest::of(&[id]) }
}

fn highest(world: &World) -> Option<u64> {
    world.entries.iter().rposition(Option::is_some).map(|number| number as u64)
}

fn numbers(world: &World) -> u16 {
    (0..NUMBERS).filter(|number| world.entries[*number].is_some()).fold(0, |bits, number| bits | 1 << number)
}

fn name(world: &World, file: usize) -> String {
    let (generation, number) = world.names[file];
    format!("state/op/{generation}-{number}-0-n{file}.parquet")
}

fn bits(set: u32) -> impl Iterator<Item = usize> {
    (0..32).filter(move |bit| set & (1 << bit) != 0)
}

/// Which step of the crate is left out, to see that the check finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    Nothing,
    ListingAfterCreate,
    ListingAfterRead,
    PublishingTheHead,
    NumbersInNames,
}

/// How often a process may try to claim, and how many checkpoints it then takes.
type Script = (u8, u8);

struct Model {
    scripts: [Script; PROCESSES],
    keep: usize,
    without: Without,
    links: Vec<Link>,
}

impl Model {
    fn new(scripts: [Script; PROCESSES], keep: usize, without: Without) -> Self {
        Self { scripts, keep, without, links: (0..=PROCESSES as u8 * IDS).map(link).collect() }
    }

    fn link(&self, id: u8) -> Option<&Link> {
        (id > 0).then(|| &self.links[usize::from(id)])
    }

    fn start(&self) -> World {
        let nothing = Entry { id: 0, generation: 0, publishes: false, files: 0, before: 0 };
        let process = Process {
            at: At::Start,
            number: 0,
            last: 0,
            generation: 0,
            owns: false,
            files: 0,
            new: nothing,
            created: 0,
            commits_left: 0,
            claims_left: 0,
        };
        World {
            entries: [None; NUMBERS],
            first_at: [0; NUMBERS],
            published: [0; NUMBERS],
            committed: 0,
            files: 0,
            names: [(0, 0); 16],
            processes: self.scripts.map(|(claims_left, commits_left)| Process { claims_left, commits_left, ..process }),
        }
    }

    /// Every world one step of process `index` can lead to.
    fn steps(&self, world: &World, index: usize) -> Result<Vec<World>, String> {
        let mut next = world.clone();
        let process = world.processes[index];
        let highest = highest(world);
        let mut also = Vec::new();
        let at = match process.at {
            At::Start if process.claims_left == 0 => At::Done,
            At::Start => {
                next.processes[index].claims_left -= 1;
                highest.map_or(At::Head(0, None), |number| At::Listed(number as u8))
            }
            At::Listed(number) => world.entries[usize::from(number)].map_or(At::Start, |entry| At::Read(number, entry)),
            At::Read(number, entry) => {
                let head = was_head(number.into(), number.into(), highest) || self.without == Without::ListingAfterRead;
                if head { At::Head(number, Some(entry)) } else { At::Start }
            }
            At::Head(number, Some(entry))
                if entry.publishes && world.committed & 1 << number == 0 && self.without != Without::PublishingTheHead =>
            {
                publish(&mut next, number, entry)?;
                At::HeadPublished(number, entry)
            }
            At::Head(number, entry) => self.prepare_claim(&mut next, index, number, entry),
            At::HeadPublished(number, entry) => {
                next.committed |= 1 << number;
                At::Head(number, Some(entry))
            }
            At::Create => {
                let slot = usize::from(process.number) + 1;
                if world.entries[slot].is_some() {
                    At::Exists
                } else {
                    self.create(&mut next, index, slot)?;
                    // The same, with the answer lost.
                    let mut lost = next.clone();
                    lost.processes[index].at = At::Exists;
                    also.push(lost);
                    At::Created
                }
            }
            At::Exists => {
                let found = world.entries[usize::from(process.number) + 1].map(|entry| entry.id);
                match taken_by(&self.links[usize::from(process.new.id)], found.and_then(|id| self.link(id))) {
                    Taken::Ours => At::Created,
                    Taken::Others | Taken::Gone => lost(process),
                }
            }
            At::Created => At::ListedAfter(if self.without == Without::ListingAfterCreate {
                process.number + 1
            } else {
                highest.unwrap_or_default() as u8
            }),
            At::ListedAfter(seen) => {
                let before = world.entries[usize::from(process.number)].and_then(|entry| self.link(entry.id));
                let before = if self.without == Without::ListingAfterCreate { self.link(process.last) } else { before };
                match standing(u64::from(process.number) + 1, Some(seen.into()), self.link(process.last), before) {
                    Standing::Fenced(_) => lost(process),
                    Standing::Head => won(&mut next.processes[index]),
                }
            }
            At::Owner if process.commits_left == 0 => At::Done,
            At::Owner => self.prepare_commit(&mut next, index),
            At::MayPublish => {
                publish(&mut next, process.number, process.new)?;
                At::Published
            }
            At::Published => {
                next.committed |= 1 << process.number;
                At::Garbage(numbers(world))
            }
            At::Garbage(listed) => self.read_kept(world, listed),
            At::GarbageRead(lowest, referenced) => {
                if highest == Some(process.number.into()) {
                    (0..usize::from(lowest)).for_each(|number| next.entries[number] = None);
                    At::Retired(referenced)
                } else {
                    At::Fenced
                }
            }
            At::Retired(referenced) => At::Candidates(self.deletable(world, process, referenced)),
            At::Candidates(files) => {
                next.files &= !files;
                At::Owner
            }
            At::Fenced | At::Done => return Ok(Vec::new()),
        };
        next.processes[index].at = at;
        also.push(next);
        Ok(also)
    }

    fn prepare_claim(&self, next: &mut World, index: usize, number: u8, head: Option<Entry>) -> At {
        let process = &mut next.processes[index];
        process.number = number;
        process.last = head.map_or(0, |entry| entry.id);
        process.generation = head.map_or(0, |entry| entry.generation) + 1;
        process.files = head.map_or(0, |entry| entry.files);
        process.created += 1;
        process.new = Entry {
            id: index as u8 * IDS + process.created,
            generation: process.generation,
            publishes: false,
            files: process.files,
            before: process.last,
        };
        At::Create
    }

    /// A checkpoint of one new file and the one before.
    fn prepare_commit(&self, next: &mut World, index: usize) -> At {
        let process = &mut next.processes[index];
        process.created += 1;
        process.commits_left -= 1;
        let id = index as u8 * IDS + process.created;
        let carried = bits(process.files).max().map_or(0, |newest| 1 << newest);
        process.new = Entry { id, generation: process.generation, publishes: true, files: carried | 1 << id, before: process.last };
        next.files |= 1 << id;
        next.names[usize::from(id)] = (process.generation, process.number + 1);
        At::Create
    }

    fn create(&self, next: &mut World, index: usize, slot: usize) -> Result<(), String> {
        let process = next.processes[index];
        next.entries[slot] = Some(process.new);
        if next.first_at[slot] == 0 {
            next.first_at[slot] = process.new.id;
            let before = next.entries[slot - 1];
            if before.is_some_and(|before| before.publishes && next.published[slot - 1] != before.id) {
                return Err(format!("checkpoint {} was left unpublished", slot - 1));
            }
        }
        Ok(())
    }

    fn read_kept(&self, world: &World, listed: u16) -> At {
        let listed: Vec<u64> = bits(listed.into()).map(|number| number as u64).collect();
        let kept = kept(&listed, self.keep);
        let mut referenced = 0;
        for number in kept {
            match world.entries[*number as usize] {
                Some(entry) => referenced |= entry.files,
                None => return At::Owner,
            }
        }
        At::GarbageRead(kept[0] as u8, referenced)
    }

    fn deletable(&self, world: &World, process: Process, referenced: u32) -> u32 {
        let names: HashSet<String> = bits(referenced).map(|file| name(world, file)).collect();
        let (generation, finished) = match self.without {
            Without::NumbersInNames => (u64::MAX, u64::MAX),
            _ => (process.generation.into(), process.number.into()),
        };
        let facts = GarbageFacts { referenced: &names, generation: Generation(generation), finished };
        bits(world.files).filter(|file| is_deletable(&name(world, *file), &facts)).fold(0, |set, file| set | 1 << file)
    }

    fn check(&self, world: &World) -> Result<(), String> {
        // The entries a reader may go on from: the newest `keep` of the true chain.
        let chain = (1..NUMBERS).rev().filter_map(|number| world.entries[number].filter(|entry| entry.id == world.first_at[number]));
        for entry in chain.take(self.keep) {
            if entry.files & !world.files != 0 {
                return Err(format!("files of a kept entry are gone: {entry:?}"));
            }
        }
        match highest(world) {
            Some(highest) if world.entries[highest as usize].map(|entry| entry.id) != Some(world.first_at[highest as usize]) => {
                Err(format!("the head {highest} was created twice"))
            }
            None if world.first_at.iter().any(|id| *id != 0) => Err("the head was deleted".to_owned()),
            _ => Ok(()),
        }
    }

    fn explore(&self) -> Result<Explored, String> {
        let mut seen = HashSet::new();
        let mut open = VecDeque::from([self.start()]);
        let mut explored = Explored::default();
        while let Some(world) = open.pop_back() {
            if !seen.insert(fingerprint(&world)) {
                continue;
            }
            self.check(&world).map_err(|error| format!("{error}\n{world:?}"))?;
            explored.note(&world);
            for index in 0..PROCESSES {
                open.extend(self.steps(&world, index).map_err(|error| format!("{error}\n{world:?}"))?);
            }
        }
        explored.states = seen.len();
        Ok(explored)
    }
}

/// 128 bits are enough to tell some millions of worlds apart.
fn fingerprint(world: &World) -> (u64, u64) {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let (mut one, mut two) = (DefaultHasher::new(), DefaultHasher::new());
    world.hash(&mut one);
    two.write_u8(1);
    world.hash(&mut two);
    (one.finish(), two.finish())
}

/// Raced while claiming, or fenced while owning.
fn lost(process: Process) -> At {
    if process.owns { At::Fenced } else { At::Start }
}

fn won(process: &mut Process) -> At {
    process.number += 1;
    process.last = process.new.id;
    process.files = process.new.files;
    if process.owns {
        At::MayPublish
    } else {
        process.owns = true;
        At::Owner
    }
}

fn publish(next: &mut World, number: u8, entry: Entry) -> Result<(), String> {
    let slot = usize::from(number);
    if next.first_at[slot] != entry.id || (entry.before != 0 && next.first_at[slot - 1] != entry.before) {
        return Err(format!("{number} is published by one who is fenced: {entry:?}"));
    }
    if next.published[slot] != 0 && next.published[slot] != entry.id {
        return Err(format!("{number} is published twice with different rows"));
    }
    next.published[slot] = entry.id;
    Ok(())
}

/// Proof that the scenarios the protocol is made for were among the worlds.
#[derive(Debug, Default)]
struct Explored {
    states: usize,
    fenced_after_claim: usize,
    created_in_freed_name: usize,
    published_twice_by_two: usize,
    finished: usize,
}

impl Explored {
    fn note(&mut self, world: &World) {
        let freed = |number: usize| world.entries[number].is_some_and(|entry| entry.id != world.first_at[number]);
        self.created_in_freed_name += usize::from((1..NUMBERS).any(freed));
        for process in &world.processes {
            self.fenced_after_claim += usize::from(process.at == At::Fenced);
            let stale = process.at == At::MayPublish && world.published[usize::from(process.number)] != 0;
            self.published_twice_by_two += usize::from(stale);
        }
        self.finished += usize::from(world.processes.iter().all(|process| process.at == At::Done));
    }
}

fn explore_all(scripts: &[([Script; PROCESSES], usize)]) {
    for (scripts, keep) in scripts.iter().copied() {
        let explored = Model::new(scripts, keep, Without::Nothing).explore().unwrap();
        println!("{scripts:?}, {keep} kept: {explored:?}");
        assert!(explored.states > 10_000 && explored.finished > 0, "{explored:?}");
        assert!(explored.fenced_after_claim > 0 && explored.published_twice_by_two > 0, "{explored:?}");
        assert!(explored.created_in_freed_name > 0, "{explored:?}");
    }
}

#[test]
fn no_interleaving_breaks_the_protocol() {
    explore_all(&[([(1, 1), (1, 1), (1, 0)], 1), ([(1, 1), (1, 1), (1, 0)], 2), ([(2, 2), (2, 2), (0, 0)], 1)]);
}

#[test]
#[ignore = "half a minute"]
fn no_longer_interleaving_breaks_it_either() {
    explore_all(&[([(1, 2), (1, 1), (1, 1)], 1)]);
}

/// A check that cannot fail proves nothing: each step of the protocol is left out once.
#[test]
fn leaving_out_any_step_is_found() {
    for (without, found) in [
        (Without::ListingAfterCreate, "published by one who is fenced"),
        (Without::PublishingTheHead, "left unpublished"),
        (Without::NumbersInNames, "files of a kept entry are gone"),
        (Without::ListingAfterRead, "published by one who is fenced"),
    ] {
        let error = Model::new([(1, 1), (1, 1), (1, 0)], 1, without).explore().expect_err(&format!("{without:?} was not noticed"));
        assert!(error.contains(found), "{without:?}: {error}");
    }
}
