//! What the optimisers' loops multiply with.

use catalog::kinds::train::params::Optimizer;

/// Coefficients of one step of SGD.
#[derive(Debug, Clone, Copy)]
pub struct Sgd {
    /// η
    pub rate: f32,
    /// μ
    pub momentum: f32,
    /// Whether to look ahead.
    pub nesterov: bool,
    /// L2 penalty.
    pub decay: f32,
    /// Factor on the gradient (clipping).
    pub scale: f32,
}

/// Coefficients of one step of Adam or AdamW.
#[derive(Debug, Clone, Copy)]
pub struct Adam {
    /// η / (1 − β₁ᵗ)
    pub rate: f32,
    /// β₁
    pub beta1: f32,
    /// 1 − β₁
    pub one_beta1: f32,
    /// β₂
    pub beta2: f32,
    /// 1 − β₂
    pub one_beta2: f32,
    /// 1 / √(1 − β₂ᵗ)
    pub root: f32,
    /// ε
    pub eps: f32,
    /// L2 penalty (Adam).
    pub decay: f32,
    /// 1 − η λ (AdamW).
    pub keep: f32,
    /// Factor on the gradient (clipping).
    pub scale: f32,
}

impl Adam {
    /// For step `t` from 1.
    pub fn new(rule: &Optimizer, t: u64, rate: f64, scale: f64) -> Self {
        let (betas, eps, decay, keep) = match rule {
            Optimizer::Adam(options) => (options.betas, options.eps, options.weight_decay, 1.0),
            Optimizer::Adamw(options) => (options.betas, options.eps, 0.0, 1.0 - rate * options.weight_decay),
            Optimizer::Sgd(_) => ([0.0; 2], 1.0, 0.0, 1.0),
        };
        let t = i32::try_from(t).unwrap_or(i32::MAX);
        Self {
            rate: (rate / (1.0 - betas[0].powi(t))) as f32,
            beta1: betas[0] as f32,
            one_beta1: (1.0 - betas[0]) as f32,
            beta2: betas[1] as f32,
            one_beta2: (1.0 - betas[1]) as f32,
            root: (1.0 / (1.0 - betas[1].powi(t)).sqrt()) as f32,
            eps: eps as f32,
            decay: decay as f32,
            keep: keep as f32,
            scale: scale as f32,
        }
    }
}
