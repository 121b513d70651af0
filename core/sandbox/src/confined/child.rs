//! The worker's side: shut in first, then one question after the other.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use borsh::BorshDeserialize as _;
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use super::{MEMORY, Told, frame};
use crate::job::Kept;

/// `fcntl` of an open file's flags.
const F_GETFD: u64 = libc::F_GETFD as u64;

/// Is a worker: without its limits it is no protection, and better none.
pub(crate) fn serve_confined() -> io::Result<()> {
    limit()?;
    serve()
}

fn serve() -> io::Result<()> {
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    shut_in()?;
    let mut kept = Kept::default();
    while let Some((told, file)) = frame::receive_with(&socket)? {
        let answer = match Told::try_from_slice(&told)? {
            Told::Once(question) => question.answer(File::from(file), &mut Kept::default())?,
            Told::Kept(question) => question.answer(File::from(file), &mut kept)?,
            Told::Forget => {
                kept = Kept::default();
                Vec::new()
            }
        };
        frame::send(&mut socket, &answer)?;
    }
    Ok(())
}

fn limit() -> io::Result<()> {
    for (resource, most) in [(Resource::As, MEMORY), (Resource::Fsize, 0), (Resource::Core, 0)] {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

/// Leaves nothing to call the system for but reading what is open, answering, and memory. What calls for more is ended by the system.
///
/// Two calls look as if they were for something else, and give nothing away that a hostile file could use. `getrandom`
/// seeds hash maps, which decoders have; `rxing` notes at which time it found a code, which asks the kernel's page of
/// the time, and by `clock_gettime` where there is none.
fn shut_in() -> io::Result<()> {
    let allowed = [
        libc::SYS_read,
        libc::SYS_readv,
        libc::SYS_pread64,
        libc::SYS_lseek,
        libc::SYS_recvmsg,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_sendto,
        libc::SYS_close,
        // Memory.
        libc::SYS_brk,
        libc::SYS_mmap,
        libc::SYS_mremap,
        libc::SYS_munmap,
        libc::SYS_mprotect,
        libc::SYS_madvise,
        // The language's own: seeds of hash maps, locks, the time, the stack of signals, the end.
        libc::SYS_getrandom,
        libc::SYS_futex,
        libc::SYS_clock_gettime,
        libc::SYS_sched_yield,
        libc::SYS_sigaltstack,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_restart_syscall,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ];
    apply(&allowed).map_err(io::Error::other)
}

fn apply(allowed: &[i64]) -> Result<(), seccompiler::Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = allowed.iter().map(|call| (*call, Vec::new())).collect();
    // In a build with its own checks the language asks whether a file is open before it closes it.
    let asks = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, F_GETFD)?;
    rules.insert(libc::SYS_fcntl, vec![SeccompRule::new(vec![asks])?]);
    let here = env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, here)?;
    seccompiler::apply_filter(&BpfProgram::try_from(filter)?)
}
