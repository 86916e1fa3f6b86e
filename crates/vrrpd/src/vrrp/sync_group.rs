//! All routers of the daemon, and the sync groups that tie some of them together (keepalived's behaviour).
//!
//! A group becomes master only when every member wants to, and any member that steps back or is at
//! fault takes all along.

use super::{
    State,
    action::{Action, Level},
    adopt::Legacy,
    event::{Event, GroupMove},
    instance::Router,
};

/// A sync group: indices of its members in [`Domain::routers`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// For log lines.
    pub name: String,
    /// Indices of the members.
    pub members: Vec<usize>,
    /// State of the whole.
    pub state: State,
}

impl Group {
    /// Where a group is whose members are in these states.
    pub fn state_of(members: impl Iterator<Item = State>) -> State {
        let (mut count, mut masters) = (0, 0);
        for state in members {
            match state {
                State::Fault => return State::Fault,
                State::Master => masters += 1,
                State::Init | State::Backup => {}
            }
            count += 1;
        }
        if count > 0 && masters == count { State::Master } else { State::Backup }
    }
}

/// An action and the router it is for.
pub type Outcome = (usize, Action);

/// Every virtual router of the daemon.
#[derive(Debug, Clone, Default)]
pub struct Domain {
    routers: Vec<Router>,
    groups: Vec<Group>,
}

/// So many routers and more send their adverts together: it costs fewer wake-ups, and if they all fall silent at once,
/// they are all replaced at once.
const ALIGNED_FROM: usize = 8;

impl Domain {
    /// Routers with their groups; a member index that does not exist is ignored.
    pub fn new(mut routers: Vec<Router>, groups: Vec<Group>) -> Self {
        for router in &mut routers {
            router.grouped = false;
        }
        for member in groups.iter().flat_map(|group| &group.members) {
            if let Some(router) = routers.get_mut(*member) {
                router.grouped = true;
            }
        }
        Domain { routers, groups }
    }

    /// The routers, in the order of the configuration.
    pub fn routers(&self) -> &[Router] {
        &self.routers
    }

    /// The groups.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// One router, for a reload's changes.
    pub fn router_mut(&mut self, index: usize) -> Option<&mut Router> {
        self.routers.get_mut(index)
    }

    /// Every router that has a legacy goes on from there, the others start; the groups are where their members are.
    pub fn adopt(&mut self, legacies: &[Option<&Legacy>], now_us: u64, out: &mut Vec<Outcome>) {
        for (index, router) in self.routers.iter_mut().enumerate() {
            let mut actions = Vec::new();
            match legacies.get(index).copied().flatten() {
                Some(legacy) => router.adopt(legacy, now_us, &mut actions),
                None => router.step(Event::Start, now_us, &mut actions),
            }
            out.extend(actions.into_iter().map(|action| (index, action)));
        }
        for group in &mut self.groups {
            let members = group.members.iter().filter_map(|member| self.routers.get(*member));
            group.state = Group::state_of(members.map(Router::state));
        }
    }

    /// Takes the routers out again, to build the next configuration's domain from them.
    pub fn into_routers(self) -> Vec<Router> {
        self.routers
    }

    /// The earliest moment at which some router wants [`Event::Timer`], microseconds.
    pub fn next_deadline_us(&self) -> Option<u64> {
        self.routers.iter().filter_map(Router::next_deadline_us).min()
    }

    /// Whether every router has stopped and handed over.
    pub fn is_finished(&self) -> bool {
        self.routers.iter().all(Router::is_finished)
    }

    /// Gives the timer event to every router whose deadline has passed.
    pub fn timers(&mut self, now_us: u64, out: &mut Vec<Outcome>) {
        let many = self.routers.len() >= ALIGNED_FROM;
        for index in 0..self.routers.len() {
            let due = self.routers.get(index).and_then(Router::next_deadline_us);
            if due.is_some_and(|at_us| at_us <= now_us) {
                self.step(index, Event::Timer, now_us, out);
                if many && let Some(router) = self.routers.get_mut(index) {
                    router.align_adverts(now_us);
                }
            }
        }
    }

    /// One event for one router, and what follows from it in its group.
    pub fn step(&mut self, index: usize, event: Event, now_us: u64, out: &mut Vec<Outcome>) {
        self.step_one(index, event, now_us, out);
        self.settle(index, now_us, out);
    }

    fn step_one(&mut self, index: usize, event: Event, now_us: u64, out: &mut Vec<Outcome>) {
        let mut actions = Vec::new();
        if let Some(router) = self.routers.get_mut(index) {
            router.step(event, now_us, &mut actions);
        }
        out.extend(actions.into_iter().map(|action| (index, action)));
    }

    /// Brings the other members of the group of `index` to where the group has to be.
    fn settle(&mut self, index: usize, now_us: u64, out: &mut Vec<Outcome>) {
        let Some(position) = self.groups.iter().position(|group| group.members.contains(&index)) else {
            return;
        };
        let Some(group) = self.groups.get(position).cloned() else { return };
        let members: Vec<&Router> =
            group.members.iter().filter_map(|member| self.routers.get(*member)).collect();
        if members.iter().any(|router| router.state == State::Init) {
            return;
        }
        let fault = members.iter().any(|router| router.has_own_fault());
        let all_want = members.iter().all(|router| router.wants_master);
        let any_backup = members.iter().any(|router| router.state == State::Backup);
        let to = if fault {
            State::Fault
        } else if all_want {
            State::Master
        } else if matches!(group.state, State::Fault | State::Init)
            || (any_backup && group.state == State::Master)
        {
            State::Backup
        } else {
            group.state
        };
        let ordered =
            std::iter::once(index).chain(group.members.iter().copied().filter(|member| *member != index));
        let before = group.state;
        if let Some(group) = self.groups.get_mut(position) {
            group.state = to;
        }
        let aside = self.routers.get(index).is_some_and(Router::is_handing_over);
        let move_to = match to {
            State::Master => GroupMove::Master,
            State::Backup if aside => GroupMove::HandOver,
            State::Backup => GroupMove::Backup,
            State::Fault => GroupMove::Fault,
            State::Init => return,
        };
        let mut told = false;
        for member in ordered.collect::<Vec<_>>() {
            let mut moved = Vec::new();
            self.move_member(member, move_to, fault, now_us, &mut moved);
            if !moved.is_empty() && member != index && !told && before != to {
                told = true;
                let text = format!("VRRP_Group({}) Syncing instances to {} state", group.name, to.name());
                out.push((member, Action::Log(Level::Info, text)));
            }
            out.append(&mut moved);
        }
    }

    fn move_member(
        &mut self,
        member: usize,
        to: GroupMove,
        fault: bool,
        now_us: u64,
        out: &mut Vec<Outcome>,
    ) {
        let mut actions = Vec::new();
        if let Some(router) = self.routers.get_mut(member) {
            router.set_group_fault(fault, now_us, &mut actions);
        }
        out.extend(actions.into_iter().map(|action| (member, action)));
        self.step_one(member, Event::Group(to), now_us, out);
    }
}
