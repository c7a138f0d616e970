//! The three response models as one type, for a controller that chooses by name.

use tidegate_core::{ResponseModel, ResponseTime, ServiceLevel};

use crate::armax_response::ArmaxResponse;
use crate::dynamics::Past;
use crate::hammerstein::HammersteinModel;
use crate::mean_response::MeanResponse;
use crate::queueing_fit::{QueueState, QueueingModel};

/// A response model of one of three kinds.
#[derive(Clone, Debug, PartialEq)]
pub enum LoopModel {
    /// A plain queueing fit.
    Queueing(QueueingModel),
    /// A static curve and ARMAX.
    Hammerstein(HammersteinModel),
    /// Linear ARMAX.
    Armax(ArmaxResponse),
}

/// What one of them carries on from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LoopState {
    /// What waits.
    Queue(QueueState),
    /// Past latencies and loads.
    Past(Past),
}

impl LoopModel {
    /// The model as one that learns its state from measured means; none for the queueing fit, which measures the queue.
    pub(crate) fn mean_response(&self) -> Option<&dyn MeanResponse> {
        match self {
            Self::Queueing(_) => None,
            Self::Hammerstein(model) => Some(model),
            Self::Armax(model) => Some(model),
        }
    }

    fn queue(model: &QueueingModel, state: &LoopState, requests_per_second: f64, ready: f64) -> QueueState {
        match state {
            LoopState::Queue(queue) => *queue,
            LoopState::Past(_) => model.rest(requests_per_second, ready),
        }
    }

    fn past(model: &dyn MeanResponse, state: &LoopState, requests_per_second: f64, ready: f64) -> Past {
        match state {
            LoopState::Past(past) => *past,
            LoopState::Queue(_) => model.rest(requests_per_second, ready),
        }
    }
}

impl ResponseModel for LoopModel {
    type State = LoopState;

    fn tick_seconds(&self) -> f64 {
        match self {
            Self::Queueing(model) => model.tick_seconds(),
            Self::Hammerstein(model) => model.tick_seconds(),
            Self::Armax(model) => model.tick_seconds(),
        }
    }

    fn level(&self) -> &ServiceLevel {
        match self {
            Self::Queueing(model) => model.level(),
            Self::Hammerstein(model) => model.level(),
            Self::Armax(model) => model.level(),
        }
    }

    fn rest(&self, requests_per_second: f64, ready: f64) -> LoopState {
        match self {
            Self::Queueing(model) => LoopState::Queue(model.rest(requests_per_second, ready)),
            Self::Hammerstein(model) => LoopState::Past(model.rest(requests_per_second, ready)),
            Self::Armax(model) => LoopState::Past(model.rest(requests_per_second, ready)),
        }
    }

    /// A state of another kind of model stands for rest: kinds change only when a model is replaced.
    fn respond(&self, state: &LoopState, requests_per_second: f64, ready: f64) -> (ResponseTime, LoopState) {
        match self {
            Self::Queueing(model) => {
                let queue = Self::queue(model, state, requests_per_second, ready);
                let (time, after) = model.respond(&queue, requests_per_second, ready);
                (time, LoopState::Queue(after))
            }
            Self::Hammerstein(model) => {
                let past = Self::past(model, state, requests_per_second, ready);
                let (time, after) = model.respond(&past, requests_per_second, ready);
                (time, LoopState::Past(after))
            }
            Self::Armax(model) => {
                let past = Self::past(model, state, requests_per_second, ready);
                let (time, after) = model.respond(&past, requests_per_second, ready);
                (time, LoopState::Past(after))
            }
        }
    }
}
