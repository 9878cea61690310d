//! The rules of `/socket.io/`.

use std::io;

use super::Findings;
use crate::endpoint::Endpoint;

pub(super) async fn verify(_endpoint: &Endpoint, _findings: &mut Findings) -> io::Result<()> {
    Ok(())
}
