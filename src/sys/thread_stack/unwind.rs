//! Return addresses from the copy of a stack, by the tables for panics (`.eh_frame`) of the program
//! and its libraries.
#![expect(
    unsafe_code,
    reason = "the tables are in memory that the loader mapped"
)]

use std::ffi::{c_int, c_void};
use std::slice;

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, EndianSlice, NativeEndian, Pointer, RegisterRule,
    UnwindContext, UnwindSection, X86_64,
};

use super::capture::Copied;

/// The most frames that are followed.
const STEPS_MAX: usize = 64;

/// A part of the program or of a library: its code, and the tables for it.
#[derive(Clone, Copy, Debug)]
struct Module {
    code: (u64, u64),
    /// `.eh_frame_hdr`, to the end of its mapping.
    header: (u64, u64),
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    pc: u64,
    sp: u64,
    fp: u64,
}

/// The addresses in the functions of the stack, the innermost first.
pub(super) fn return_addresses(copied: &Copied) -> Vec<u64> {
    let modules = modules();
    let mut frame = Frame {
        pc: copied.pc,
        sp: copied.sp,
        fp: copied.fp,
    };
    let mut addresses = vec![frame.pc];
    while addresses.len() < STEPS_MAX {
        // A return address may be behind the end of its function: the call is before it.
        let within = frame.pc - u64::from(addresses.len() > 1);
        let Some(next) = step(&modules, copied, frame, within) else {
            break;
        };
        // A stack that does not go on is broken.
        if next.pc == 0 || next.sp <= frame.sp {
            break;
        }
        addresses.push(next.pc - 1);
        frame = next;
    }
    addresses
}

fn step(modules: &[Module], copied: &Copied, frame: Frame, within: u64) -> Option<Frame> {
    let module = modules
        .iter()
        .find(|one| (one.code.0..one.code.1).contains(&within))?;
    let section = |(from, to): (u64, u64)| {
        let bytes = usize::try_from(to - from).ok()?;
        // SAFETY: a read-only segment of the program or of a library that is never unloaded.
        Some(unsafe { slice::from_raw_parts(from as *const u8, bytes) })
    };
    let bases = BaseAddresses::default().set_eh_frame_hdr(module.header.0);
    let header = EhFrameHdr::new(section(module.header)?, NativeEndian);
    let header = header.parse(&bases, 8).ok()?;
    let Pointer::Direct(at) = header.eh_frame_ptr() else {
        return None;
    };
    let bases = bases.set_eh_frame(at);
    let frames: EhFrame<EndianSlice<'_, NativeEndian>> =
        EhFrame::new(section((at, module.header.1))?, NativeEndian);
    let mut context = UnwindContext::new();
    let table = header.table()?;
    let row = table
        .unwind_info_for_address(
            &frames,
            &bases,
            &mut context,
            within,
            EhFrame::cie_from_offset,
        )
        .ok()?;
    let cfa = match *row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => {
            let base = match register {
                X86_64::RSP => frame.sp,
                X86_64::RBP => frame.fp,
                _ => return None,
            };
            base.checked_add_signed(offset)?
        }
        CfaRule::Expression(_) => return None,
    };
    let word = |at: u64| {
        let offset = at.checked_sub(copied.sp & !7)?;
        copied.words.get(usize::try_from(offset / 8).ok()?).copied()
    };
    let fp = match row.register(X86_64::RBP) {
        Some(RegisterRule::Offset(offset)) => word(cfa.checked_add_signed(offset)?)?,
        _ => frame.fp,
    };
    Some(Frame {
        pc: word(cfa.checked_sub(8)?)?,
        sp: cfa,
        fp,
    })
}

fn modules() -> Vec<Module> {
    let mut modules = Vec::new();
    // SAFETY: `add` gets the pointer to `modules`, which outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(add), (&raw mut modules).cast()) };
    modules
}

/// Called with each part of the process.
unsafe extern "C" fn add(info: *mut libc::dl_phdr_info, _: usize, to: *mut c_void) -> c_int {
    // SAFETY: the caller passes a valid description.
    let info = unsafe { &*info };
    // SAFETY: the pointer of `modules`, in use by this call alone.
    let modules = unsafe { &mut *to.cast::<Vec<Module>>() };
    // SAFETY: the loader keeps this many headers there.
    let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let range = |header: &libc::Elf64_Phdr| {
        let from = info.dlpi_addr + header.p_vaddr;
        (from, from + header.p_memsz)
    };
    let loaded = || headers.iter().filter(|one| one.p_type == libc::PT_LOAD);
    let tables = headers
        .iter()
        .find(|one| one.p_type == libc::PT_GNU_EH_FRAME);
    let Some((at, _)) = tables.map(range) else {
        return 0;
    };
    let Some((_, end)) = loaded().map(range).find(|of| (of.0..of.1).contains(&at)) else {
        return 0;
    };
    let code = loaded().filter(|one| one.p_flags & libc::PF_X != 0);
    modules.extend(code.map(|one| Module {
        code: range(one),
        header: (at, end),
    }));
    0
}
