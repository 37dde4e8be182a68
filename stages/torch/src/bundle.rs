//! Between a network on libtorch and the file of a model.

use model::bundle::{Bundle, Description};
use model::int8::store;
use model::predict::Predictor;
use tch::{Device, Tensor};

use crate::fault::{During, Outcome};
use crate::network::Net;
use crate::network::layer::Pass;
use crate::raw;
use crate::weights::{stored, tensor};

/// The bundle of a network in float32. Takes copies of its tensors.
///
/// # Errors
/// When libtorch cannot allocate.
pub fn of(net: &Net, description: Description) -> Outcome<Bundle> {
    let tensors = net.parameters().into_iter().chain(net.buffers());
    let tensors = tensors
        .map(|(name, tensor)| {
            let stored = stored(&name, tensor)?;
            Ok((name, stored))
        })
        .collect::<Outcome<_>>()?;
    Ok(Bundle { description: Description { network: net.network().clone(), ..description }, tensors })
}

/// The network of a bundle with its weights. Only for a bundle in float32 (`quantisation` is absent).
///
/// # Errors
/// When the tensors do not fit the network.
pub fn net(bundle: &Bundle, device: Device) -> Outcome<Net> {
    let tensors = bundle.tensors.iter().map(|(name, stored)| Ok((name.clone(), tensor(&stored.array())?)));
    Net::from_tensors(&bundle.description.network, tensors.collect::<Outcome<_>>()?, device)
}

/// The predictor of a bundle.
///
/// # Errors
/// When the bundle's tensors do not fit its network.
pub fn predictor(bundle: &Bundle, device: Device) -> Outcome<Box<dyn Predictor>> {
    match &bundle.description.quantisation {
        // Whole numbers are for the processor, wherever the rest of the stage computes.
        Some(_) => Ok(Box::new(store::Whole::new(&store::quantized(bundle)?)?)),
        None => Ok(Box::new(net(bundle, device)?)),
    }
}

impl Predictor for Net {
    fn width(&self) -> usize {
        self.network().input.iter().product::<u64>() as usize
    }

    fn outputs(&self, rows: &[f32]) -> Outcome<Vec<f32>> {
        let _guard = tch::no_grad_guard();
        let size: Vec<i64> = std::iter::once(-1).chain(self.network().input.iter().map(|side| *side as i64)).collect();
        let rows = Tensor::f_from_slice(rows)
            .and_then(|rows| rows.f_view(size.as_slice()))
            .and_then(|rows| rows.f_to_device(self.device()))
            .during(|| "moving rows to the device".to_owned())?;
        let outputs = self.forward(&rows, &mut Pass::Eval)?;
        let outputs = outputs
            .f_to_device(Device::Cpu)
            .and_then(|outputs| outputs.f_contiguous())
            .during(|| "moving outputs from the device".to_owned())?;
        Ok(raw::floats(&outputs).to_vec())
    }
}
