//! Names of functions from the symbol table of the program's file (elf(5)). The file is opened
//! before the sandbox closes, and mapped for a moment when names are asked for.
#![expect(
    unsafe_code,
    reason = "a mapping of a file, and the place of the program in memory"
)]

use std::ffi::CStr;
use std::fs::File;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::{ptr, slice};

/// The program's file; `None` if it cannot be opened.
#[derive(Debug)]
pub(super) struct Symbols(Option<File>);

/// A function: its name in the file's texts, and where it is.
struct Function<'f> {
    name: &'f [u8],
    from: u64,
    bytes: u64,
}

impl Symbols {
    pub(super) fn open() -> Self {
        Self(File::open("/proc/self/exe").ok())
    }

    /// A name for each address: of the function; or, where the file has none, the offset in the
    /// program, which addr2line(1) resolves by the file with the debug information; or the file of
    /// a library and the offset there.
    pub(super) fn names(&self, addresses: &[u64]) -> Vec<String> {
        let parts = parts();
        let mapping = self.0.as_ref().and_then(Mapping::of);
        let functions = mapping.as_ref().and_then(|file| functions(file.bytes()));
        let functions = functions.unwrap_or_default();
        let name = |&address: &u64| {
            let is_within = |part: &&Part| part.code.contains(&address);
            let Some(part) = parts.iter().find(is_within) else {
                return format!("{address:#x}");
            };
            let offset = address - part.base;
            if let Some(library) = &part.library {
                return format!("{library}+{offset:#x}");
            }
            let around = |one: &&Function<'_>| offset.wrapping_sub(one.from) < one.bytes;
            match functions.iter().find(around) {
                Some(function) => {
                    let name = String::from_utf8_lossy(function.name);
                    format!("{:#}", rustc_demangle::demangle(&name))
                }
                None => format!("{offset:#x}"),
            }
        };
        addresses.iter().map(name).collect()
    }
}

/// Code of the program or of a library.
#[derive(Debug)]
struct Part {
    code: Range<u64>,
    /// The difference between addresses in memory and in the file.
    base: u64,
    /// The file's name without its folder; none for the program.
    library: Option<String>,
}

/// The code of the process.
fn parts() -> Vec<Part> {
    unsafe extern "C" fn add(
        info: *mut libc::dl_phdr_info,
        _: usize,
        to: *mut std::ffi::c_void,
    ) -> std::ffi::c_int {
        // SAFETY: the caller passes a valid description.
        let info = unsafe { &*info };
        // SAFETY: the pointer of `parts`, in use by this call alone.
        let parts = unsafe { &mut *to.cast::<Vec<Part>>() };
        // SAFETY: the loader keeps this many headers there.
        let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
        let name = match info.dlpi_name.is_null() {
            true => String::new(),
            // SAFETY: a text of the loader, with its end.
            false => unsafe { CStr::from_ptr(info.dlpi_name) }
                .to_string_lossy()
                .into_owned(),
        };
        // The program is the first, without a name (dl_iterate_phdr(3)).
        let library = (!name.is_empty()).then(|| match name.rsplit_once('/') {
            Some((_, file)) => file.to_owned(),
            None => name,
        });
        let base = info.dlpi_addr;
        let code =
            |one: &&libc::Elf64_Phdr| one.p_type == libc::PT_LOAD && one.p_flags & libc::PF_X != 0;
        parts.extend(headers.iter().filter(code).map(|one| Part {
            code: base + one.p_vaddr..base + one.p_vaddr + one.p_memsz,
            base,
            library: library.clone(),
        }));
        0
    }
    let mut parts = Vec::new();
    // SAFETY: `add` gets the pointer to `parts`, which outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(add), (&raw mut parts).cast()) };
    parts
}

/// The functions of an ELF file of 64 bits; `None` if it has no symbol table.
fn functions(file: &[u8]) -> Option<Vec<Function<'_>>> {
    let sections = usize::try_from(number(file, 0x28, 8)?).ok()?;
    let [size, count] = [0x3a, 0x3c].map(|at| number(file, at, 2));
    let (size, count) = (usize::try_from(size?).ok()?, usize::try_from(count?).ok()?);
    let section = |index: usize| file.get(sections + index * size..)?.get(..size);
    let content = |section: &[u8]| {
        let from = usize::try_from(number(section, 0x18, 8)?).ok()?;
        let bytes = usize::try_from(number(section, 0x20, 8)?).ok()?;
        file.get(from..)?.get(..bytes)
    };
    // SHT_SYMTAB.
    let table = (0..count)
        .filter_map(section)
        .find(|one| number(one, 4, 4) == Some(2))?;
    let texts = section(usize::try_from(number(table, 0x28, 4)?).ok()?).and_then(content)?;
    let function = |symbol: &[u8; 24]| {
        // STT_FUNC.
        let is_function = symbol[4] & 0xf == 2;
        let name = usize::try_from(number(symbol, 0, 4)?).ok()?;
        let name = texts.get(name..)?.split(|byte| *byte == 0).next()?;
        is_function.then_some(Function {
            name,
            from: number(symbol, 8, 8)?,
            bytes: number(symbol, 16, 8)?,
        })
    };
    let (symbols, _) = content(table)?.as_chunks::<24>();
    Some(symbols.iter().filter_map(function).collect())
}

/// A number of some bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.get(..length)?;
    let number = bytes.iter().rev();
    Some(number.fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// A file in memory, until dropped.
struct Mapping {
    at: *mut libc::c_void,
    bytes: usize,
}

impl Mapping {
    fn of(file: &File) -> Option<Self> {
        let bytes = usize::try_from(file.metadata().ok()?.len()).ok()?;
        let (prot, flags) = (libc::PROT_READ, libc::MAP_PRIVATE);
        // SAFETY: a new mapping, at an address of the kernel's choice.
        let at = unsafe { libc::mmap(ptr::null_mut(), bytes, prot, flags, file.as_raw_fd(), 0) };
        (at != libc::MAP_FAILED).then_some(Self { at, bytes })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: mapped, readable, and this long. The kernel lets no one write to a program that
        // runs (ETXTBSY).
        unsafe { slice::from_raw_parts(self.at.cast(), self.bytes) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping of `of`, without references behind this.
        unsafe { libc::munmap(self.at, self.bytes) };
    }
}
