//! Tasks: a future, its state and its waker in one allocation.
//!
//! Only a task's own lane polls and drops the future. Wakers may be on any thread: they are counted
//! references to the header. How a lane queues a woken task is a matter of the type parameter `L`,
//! a reference to the lane ([`Schedule`]); this file knows no lane.
#![expect(
    unsafe_code,
    reason = "one allocation, reached through an untyped header"
)]

use std::cell::{Cell, UnsafeCell};
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::process;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use super::session::{Control, Description, EndRequest, Legs, Session, SessionId};
use crate::sys::{AtomicU32, fence};

/// What a task is called in logs: a reference to a literal, so that it costs one word.
pub(crate) type TaskName = &'static &'static str;

/// A reference to the lane of a task, from any thread.
pub(super) trait Schedule: Send + Sync + Sized + 'static {
    /// The vtable of its tasks' wakers, from [`waker_vtable`]. Always the same static: the address
    /// distinguishes these wakers from all others.
    fn waker_vtable() -> &'static RawWakerVTable;

    /// Queues a woken task on its lane, unless the task is queued.
    fn schedule(task: &Task<Self>);
}

/// A counted reference to a task of a lane.
#[derive(Debug)]
pub(super) struct Task<L: 'static>(NonNull<Header<L>>);

/// Distinguishes living tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskId(NonNull<()>);

/// Every connection has one, so it is kept small.
struct Header<L: 'static> {
    /// How many references there are, in units of [`REFERENCE`], and the two bits below.
    state: AtomicU32,
    /// The place in the lane's table. Used by the lane only.
    slot: Cell<u32>,
    name: TaskName,
    /// The id of a session, 0 for a task in the background. In the header for the watchdog, which
    /// may not ask a task that runs.
    session: u64,
    lane: L,
    vtable: &'static Vtable<L>,
}

/// In a run queue or an inbox, or about to be.
const SCHEDULED: u32 = 1;
/// The future is gone. Of interest to the lane only.
const DONE: u32 = 2;
const REFERENCE: u32 = 4;

/// What depends on the type of the future.
struct Vtable<L: 'static> {
    poll: unsafe fn(NonNull<Header<L>>, &mut Context<'_>) -> Poll<()>,
    drop_future: unsafe fn(NonNull<Header<L>>),
    free: unsafe fn(NonNull<Header<L>>),
    /// `None`: the task is in the background.
    session: Option<SessionVtable<L>>,
}

/// What a session answers besides.
struct SessionVtable<L: 'static> {
    describe: unsafe fn(NonNull<Header<L>>) -> Description,
    legs: unsafe fn(NonNull<Header<L>>) -> Legs,
    ask_to_end: unsafe fn(NonNull<Header<L>>, EndRequest),
}

/// The allocation. `repr(C)`: a pointer to the task is a pointer to the header.
#[repr(C)]
struct Whole<L: 'static, F> {
    header: Header<L>,
    future: UnsafeCell<ManuallyDrop<F>>,
}

// SAFETY: other threads use the atomic fields and `L` only; the lane has dropped the future before
// any thread frees the memory.
unsafe impl<L: Send + Sync> Send for Task<L> {}
// SAFETY: as above.
unsafe impl<L: Send + Sync> Sync for Task<L> {}

impl<L> Task<L> {
    /// A task in the background, not scheduled.
    pub(super) fn new<F>(name: TaskName, lane: L, future: F) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let vtable = &Vtable {
            poll: poll::<L, F>,
            drop_future: drop_future::<L, F>,
            free: free::<L, F>,
            session: None,
        };
        Self::with_vtable(name, 0, lane, future, vtable)
    }

    /// A session, not scheduled.
    pub(super) fn session<S: Session + 'static>(name: TaskName, lane: L, session: S) -> Self {
        let vtable = &Vtable {
            poll: poll::<L, S>,
            drop_future: drop_future::<L, S>,
            free: free::<L, S>,
            session: Some(SessionVtable {
                describe: describe::<L, S>,
                legs: legs::<L, S>,
                ask_to_end: ask_to_end::<L, S>,
            }),
        };
        Self::with_vtable(name, session.id().0, lane, session, vtable)
    }

    /// The functions of the vtable are those of `F`.
    fn with_vtable<F>(
        name: TaskName,
        session: u64,
        lane: L,
        future: F,
        vtable: &'static Vtable<L>,
    ) -> Self {
        let whole = Box::new(Whole {
            header: Header {
                state: AtomicU32::new(REFERENCE),
                slot: Cell::new(0),
                name,
                session,
                lane,
                vtable,
            },
            future: UnsafeCell::new(ManuallyDrop::new(future)),
        });
        Self(NonNull::from(Box::leak(whole)).cast())
    }

    /// Whether the task is a session, not one in the background.
    pub(super) fn is_session(&self) -> bool {
        self.header().vtable.session.is_some()
    }

    /// What the session is doing; `None` for a task in the background and for one that has ended.
    /// Only its lane may, and not during a poll of the task.
    pub(super) fn describe(&self) -> Option<Description> {
        let session = self.living_session()?;
        // SAFETY: the future is not done, and the lane does nothing else with it.
        Some(unsafe { (session.describe)(self.0) })
    }

    /// The connections of the session, on the terms of [`Task::describe`].
    pub(super) fn legs(&self) -> Option<Legs> {
        let session = self.living_session()?;
        // SAFETY: as in `describe`.
        Some(unsafe { (session.legs)(self.0) })
    }

    /// Asks the session to end; the caller schedules the task afterwards. Only its lane may, and
    /// not during a poll of the task.
    pub(super) fn ask_to_end(&self, why: EndRequest) {
        if let Some(session) = self.living_session() {
            // SAFETY: as in `describe`.
            unsafe { (session.ask_to_end)(self.0, why) };
        }
    }

    fn living_session(&self) -> Option<&SessionVtable<L>> {
        let is_done = self.header().state.load(Relaxed) & DONE != 0;
        let session = self.header().vtable.session.as_ref();
        session.filter(|_| !is_done)
    }

    /// Drops the future, if not done yet. Only the task's lane may.
    pub(super) fn drop_future(&self) {
        if self.header().state.fetch_or(DONE, Relaxed) & DONE == 0 {
            // SAFETY: the flag lets this happen once, and no poll follows.
            unsafe { (self.header().vtable.drop_future)(self.0) };
        }
    }

    pub(super) fn name(&self) -> TaskName {
        self.header().name
    }

    /// The session of the task; `None` for a task in the background.
    pub(super) fn session_id(&self) -> Option<SessionId> {
        let id = self.header().session;
        (id > 0).then_some(SessionId(id))
    }

    pub(super) fn slot(&self) -> u32 {
        self.header().slot.get()
    }

    pub(super) fn set_slot(&self, slot: u32) {
        self.header().slot.set(slot);
    }

    /// Claims the right to queue the task; `false` for a queued task.
    pub(super) fn claim(&self) -> bool {
        self.header().state.fetch_or(SCHEDULED, AcqRel) & SCHEDULED == 0
    }

    /// Whether a poll of the task has this context.
    pub(super) fn is_polled_with(&self, context: &Context<'_>) -> bool {
        ptr::eq(self.0.as_ptr().cast(), context.waker().data())
    }

    fn header(&self) -> &Header<L> {
        // SAFETY: this reference keeps the allocation alive.
        unsafe { self.0.as_ref() }
    }

    /// The lane of the task.
    pub(super) fn lane(&self) -> &L {
        &self.header().lane
    }

    pub(super) fn id(&self) -> TaskId {
        TaskId(self.0.cast())
    }
}

impl<L: Schedule> Task<L> {
    /// Polls the future. `Ready` when it has ended, now or before. Only its lane may.
    ///
    /// A panic of the future goes on to the caller, who must then drop the future.
    pub(super) fn poll(&self) -> Poll<()> {
        let header = self.header();
        // Cleared first, so that a wake during the poll schedules again.
        if header.state.fetch_and(!SCHEDULED, AcqRel) & DONE != 0 {
            return Poll::Ready(());
        }
        // SAFETY: the waker borrows this reference: it is not dropped, and clones count.
        let waker = ManuallyDrop::new(unsafe { Waker::from_raw(raw_waker::<L>(self.0)) });
        let mut context = Context::from_waker(&waker);
        // SAFETY: the future is not done, and only the lane polls.
        unsafe { (header.vtable.poll)(self.0, &mut context) }
    }

    /// The task that is polled with this context. Kept in its waker's place it takes one word and
    /// not two, and every connection keeps several.
    ///
    /// # Panics
    /// When the context is not that of a lane's task.
    pub(super) fn polled_with(context: &Context<'_>) -> Self {
        let waker = context.waker();
        assert!(
            ptr::eq(waker.vtable(), L::waker_vtable()),
            "what belongs to a lane is polled by its tasks"
        );
        // SAFETY: a waker of this file, by its vtable, and alive.
        let task = unsafe { borrowed::<L>(waker.data()) };
        Self::clone(&task)
    }

    /// A waker of the task, as a poll would give.
    #[cfg(all(test, loom))]
    pub(super) fn waker(&self) -> Waker {
        // SAFETY: the waker gets the reference of the clone.
        unsafe { Waker::from_raw(raw_waker::<L>(ManuallyDrop::new(self.clone()).0)) }
    }
}

impl<L> Clone for Task<L> {
    fn clone(&self) -> Self {
        // Relaxed: a new reference is made out of one that is there. As Arc does, stop long before
        // the count wraps.
        if self.header().state.fetch_add(REFERENCE, Relaxed) > u32::MAX / 2 {
            process::abort();
        }
        Self(self.0)
    }
}

impl<L> Drop for Task<L> {
    fn drop(&mut self) {
        if self.header().state.fetch_sub(REFERENCE, Release) / REFERENCE == 1 {
            // All that other references did is done before the memory goes.
            fence(Acquire);
            // SAFETY: this was the last reference.
            unsafe { (self.header().vtable.free)(self.0) };
        }
    }
}

unsafe fn poll<L, F: Future<Output = ()>>(
    header: NonNull<Header<L>>,
    context: &mut Context<'_>,
) -> Poll<()> {
    // SAFETY: the header is the first field of a `Whole<L, F>`, which the caller keeps alive.
    let whole = unsafe { header.cast::<Whole<L, F>>().as_ref() };
    // SAFETY: only the lane comes here, and not while it is here already.
    let future = unsafe { &mut *whole.future.get() };
    // SAFETY: the allocation never moves and the future is dropped in place.
    unsafe { Pin::new_unchecked(&mut **future) }.poll(context)
}

unsafe fn drop_future<L, F>(header: NonNull<Header<L>>) {
    // SAFETY: as in `poll`.
    let whole = unsafe { header.cast::<Whole<L, F>>().as_ref() };
    // SAFETY: as in `poll`.
    let future = unsafe { &mut *whole.future.get() };
    // SAFETY: the caller sees to it that this happens once and that nothing follows.
    unsafe { ManuallyDrop::drop(future) };
}

unsafe fn describe<L, S: Session>(header: NonNull<Header<L>>) -> Description {
    // SAFETY: as in `poll`.
    let whole = unsafe { header.cast::<Whole<L, S>>().as_ref() };
    // SAFETY: as in `poll`: the lane is here, so no other reference to the future is in use.
    let session = unsafe { &*whole.future.get() };
    session.describe()
}

unsafe fn legs<L, S: Session>(header: NonNull<Header<L>>) -> Legs {
    // SAFETY: as in `poll`.
    let whole = unsafe { header.cast::<Whole<L, S>>().as_ref() };
    // SAFETY: as in `describe`.
    let session = unsafe { &*whole.future.get() };
    session.legs()
}

unsafe fn ask_to_end<L, S: Session>(header: NonNull<Header<L>>, why: EndRequest) {
    // SAFETY: as in `poll`.
    let whole = unsafe { header.cast::<Whole<L, S>>().as_ref() };
    // SAFETY: as in `describe`.
    let session = unsafe { &mut *whole.future.get() };
    // SAFETY: as in `poll`.
    unsafe { Pin::new_unchecked(&mut **session) }.ask_to_end(why);
}

unsafe fn free<L, F>(header: NonNull<Header<L>>) {
    // SAFETY: the pointer came from `Box::leak` of this type; the caller had the last reference.
    // The future in it has been dropped, or leaks: it never runs on another thread.
    drop(unsafe { Box::from_raw(header.cast::<Whole<L, F>>().as_ptr()) });
}

/// What [`Schedule::waker_vtable`] has to keep in a static.
pub(super) const fn waker_vtable<L: Schedule>() -> RawWakerVTable {
    RawWakerVTable::new(
        clone_raw::<L>,
        wake_raw::<L>,
        wake_by_ref_raw::<L>,
        drop_raw::<L>,
    )
}

fn raw_waker<L: Schedule>(header: NonNull<Header<L>>) -> RawWaker {
    RawWaker::new(header.as_ptr().cast_const().cast(), L::waker_vtable())
}

/// The reference behind a waker.
///
/// # Safety
/// `data` is that of a living waker of this file, of a task of `L`.
unsafe fn borrowed<L>(data: *const ()) -> ManuallyDrop<Task<L>> {
    // SAFETY: a waker's data is never null.
    let header = unsafe { NonNull::new_unchecked(data.cast_mut().cast()) };
    ManuallyDrop::new(Task(header))
}

unsafe fn clone_raw<L: Schedule>(data: *const ()) -> RawWaker {
    // SAFETY: called through a living waker.
    let task = unsafe { borrowed::<L>(data) };
    let counted = ManuallyDrop::new(Task::clone(&task));
    raw_waker(counted.0)
}

unsafe fn wake_raw<L: Schedule>(data: *const ()) {
    // SAFETY: called through a living waker, which ends here and gives its reference.
    let task = ManuallyDrop::into_inner(unsafe { borrowed::<L>(data) });
    L::schedule(&task);
}

unsafe fn wake_by_ref_raw<L: Schedule>(data: *const ()) {
    // SAFETY: called through a living waker.
    let task = unsafe { borrowed::<L>(data) };
    L::schedule(&task);
}

unsafe fn drop_raw<L: Schedule>(data: *const ()) {
    // SAFETY: called once, by a waker that ends here and gives its reference.
    drop(ManuallyDrop::into_inner(unsafe { borrowed::<L>(data) }));
}

/// A session of an opaque future, and what answers for it.
pub(super) struct Controlled<C, F> {
    pub(super) control: C,
    pub(super) future: F,
}

impl<C, F: Future<Output = ()>> Future for Controlled<C, F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // SAFETY: the future is pinned with the whole, which has no `Drop` and never moves it out.
        unsafe { self.map_unchecked_mut(|whole| &mut whole.future) }.poll(context)
    }
}

impl<C: Control, F: Future<Output = ()>> Session for Controlled<C, F> {
    fn id(&self) -> SessionId {
        self.control.id()
    }

    fn describe(&self) -> Description {
        self.control.describe()
    }

    fn ask_to_end(self: Pin<&mut Self>, why: EndRequest) {
        self.control.ask_to_end(why);
    }
}

/// The name of the task that a lane runs, for the watchdog.
#[derive(Debug)]
pub(super) struct NameCell(AtomicPtr<&'static str>);

impl NameCell {
    pub(super) const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    pub(super) fn set(&self, name: Option<TaskName>) {
        let name = name.map_or(ptr::null(), ptr::from_ref);
        self.0.store(name.cast_mut(), Relaxed);
    }

    pub(super) fn name(&self) -> Option<&'static str> {
        let name = NonNull::new(self.0.load(Relaxed))?;
        // SAFETY: only `set` stores here, and only references that live for ever.
        Some(unsafe { *name.as_ptr() })
    }
}
