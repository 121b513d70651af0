//! A line of the log about what strangers can make happen as often as they like.

/// So many lines a minute, of each place in the code that writes one: enough to see each where nobody floods, and where somebody does
/// some megabytes a day.
pub(crate) const LINES: u32 = 30;

/// As `tracing`'s macros: of more than [`LINES`] in a minute the others are counted, and how many is said as `more` with the next.
macro_rules! seldom {
    ($level:ident!($($line:tt)+)) => {{
        static LINE: ::clavicle_admission::Seldom = ::clavicle_admission::Seldom::of($crate::seldom::LINES);
        if let Some(more) = LINE.now(::std::time::Instant::now()) {
            ::tracing::$level!(more, $($line)+);
        }
    }};
}

pub(crate) use seldom;
