//! Which resource of the system a client could not get, judged by the error's number wherever it is wrapped.

use std::{error::Error, io};

use measurement::validity::Exhausted;

/// One in the field of the resource that is exhausted; nothing for other errors.
pub fn of(error: &(dyn Error + 'static)) -> Exhausted {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(number) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return of_number(number);
        }
        cause = error.source();
    }
    Exhausted::default()
}

fn of_number(number: i32) -> Exhausted {
    match number {
        libc::EMFILE | libc::ENFILE => Exhausted { files: 1, ..Exhausted::default() },
        libc::EADDRNOTAVAIL => Exhausted { ports: 1, ..Exhausted::default() },
        libc::ENOMEM | libc::ENOBUFS => Exhausted { memory: 1, ..Exhausted::default() },
        _ => Exhausted::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::ClientError;

    #[test]
    fn the_resource_is_found_through_every_wrapper() {
        let check = |number: i32, (files, ports, memory): (u64, u64, u64)| {
            let error = ClientError::Connect(io::Error::from_raw_os_error(number));
            assert_eq!(of(&error), Exhausted { files, ports, memory }, "{error}");
            let deeper = io::Error::other(io::Error::from_raw_os_error(number));
            assert_eq!(of(&deeper), Exhausted::default(), "an error without a number of its own ends there");
        };
        check(libc::EMFILE, (1, 0, 0));
        check(libc::ENFILE, (1, 0, 0));
        check(libc::EADDRNOTAVAIL, (0, 1, 0));
        check(libc::ENOBUFS, (0, 0, 1));
        check(libc::ECONNREFUSED, (0, 0, 0));
        assert_eq!(of(&ClientError::Closed), Exhausted::default());
    }
}
