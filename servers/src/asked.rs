//! Questions for the counters that come over the control channel instead of a connection. It knows no channel.

use std::{convert::Infallible, future::pending, sync::Arc};

use tokio::sync::{mpsc, oneshot};

use crate::{app::App, stats::Stats};

/// Where an answer goes.
pub(crate) type Question = oneshot::Sender<Stats>;
/// Questions as they come.
pub(crate) type Questions = mpsc::UnboundedReceiver<Question>;

/// No question will come.
pub(crate) fn nobody() -> Questions {
    mpsc::unbounded_channel().1
}

/// Answers for ever.
pub(crate) async fn answer(mut questions: Questions, app: &Arc<App>) -> Infallible {
    while let Some(question) = questions.recv().await {
        // Who has gone meanwhile does not want to know.
        let _ = question.send(app.stats());
    }
    pending().await
}
