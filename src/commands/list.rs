//! The list of the verbs of one group.

/// Makes the list of a group: the name of a verb, and the module with its `Args` and its `execute`. The doc comment of `Args` is the
/// verb's help.
macro_rules! verbs {
    ($($(#[$attribute:meta])* $verb:ident($module:ident),)*) => {
        /// The verbs of this group.
        #[derive(Debug, clap::Subcommand)]
        pub enum Verb {
            $($(#[$attribute])* $verb($module::Args),)*
        }

        impl Verb {
            /// Carries a verb out.
            ///
            /// # Errors
            /// What ends the program early, already in words.
            pub fn execute(&self) -> Result<u8, $crate::session::Failure> {
                match self {
                    $(Self::$verb(args) => $module::execute(args),)*
                }
            }
        }
    };
}
pub(super) use verbs;
