//! The table of codes: every code a fault can have, and what it means.
//!
//! `docs/codes.md` is printed from it. [`code!`](crate::code) looks a code up while the program is compiled, so a code that is
//! misspelt, or not in the table, does not compile.

use std::fmt;

/// The code of a fault: `area::name` in snake case. Only [`code!`](crate::code) and [`Code::find`] make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(&'static str);

/// What the table says of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The code.
    pub code: &'static str,
    /// What is wrong in general.
    pub meaning: &'static str,
    /// Why no test produces it; empty when one does.
    pub untested: &'static str,
}

impl Code {
    /// A code of the table.
    ///
    /// # Panics
    /// When it is not in the table. [`code!`](crate::code) calls this while the program is compiled.
    pub const fn known(text: &str) -> Self {
        let mut at = 0;
        while at < CODES.len() {
            if same(CODES[at].code.as_bytes(), text.as_bytes()) {
                return Self(CODES[at].code);
            }
            at += 1;
        }
        panic!("this code is not in the table of codes")
    }

    /// The code of a text that comes from elsewhere, when it is in the table.
    pub fn find(text: &str) -> Option<Self> {
        CODES.iter().find(|entry| entry.code == text).map(|entry| Self(entry.code))
    }

    /// `area::name`.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl From<Code> for String {
    fn from(code: Code) -> Self {
        code.0.to_owned()
    }
}

impl PartialEq<Code> for String {
    fn eq(&self, code: &Code) -> bool {
        self == code.0
    }
}

/// A code of the table, looked up while the program is compiled: `code!("graph::cycle")`.
#[macro_export]
macro_rules! code {
    ($text:literal) => {
        const { $crate::fault::Code::known($text) }
    };
}

const fn tested(code: &'static str, meaning: &'static str) -> Entry {
    Entry { code, meaning, untested: "" }
}

const fn untested(code: &'static str, meaning: &'static str, untested: &'static str) -> Entry {
    Entry { code, meaning, untested }
}

/// Every code, sorted.
pub const CODES: &[Entry] = &[
    untested(
        "cli::cannot_write",
        "The drawing of the graph cannot be written to the named file, usually because its folder is missing or read-only.",
        "missing: An end-to-end test would run `pipeline graph` with `-o` and a file in a folder that does not exist.",
    ),
    untested(
        "cli::folder_to_stdout",
        "The output is a folder, and only a single file can be written to standard output.",
        "missing: An end-to-end test would run `pipeline get` with `-o -` for an output that is a folder.",
    ),
    tested(
        "cli::in_the_way",
        "The target of a copy is a folder that would be replaced, or a file that the pipeline reads.",
    ),
    tested("cli::never_ran", "The stage has no result yet, so nothing can be shown or copied."),
    tested(
        "cli::no_log",
        "No log of the stage is kept for the named run or attempt. The stage never ran or wrote nothing.",
    ),
    tested("cli::no_output", "The stage has no output, so nothing can be shown or copied."),
    untested(
        "cli::no_pipeline",
        "Neither the current folder nor any folder above it has a `pipeline.yaml`.",
        "missing: An end-to-end test would run `pipeline check` in an empty temporary folder.",
    ),
    untested(
        "cli::output_lost",
        "The record of the stage exists, but the bytes of its output are no longer in the store.",
        "missing: An end-to-end test would delete the blob of a result from the store and run `pipeline get`.",
    ),
    untested(
        "cli::several_stages",
        "The name means all stages of a `matrix`, and the command works on one stage.",
        "missing: An end-to-end test would run `pipeline show` with the name of a stage that has a `matrix`.",
    ),
    untested(
        "cli::size",
        "The value of `--keep` is not a size with a unit, such as `20GiB`.",
        "missing: An end-to-end test would run `pipeline gc --keep many`.",
    ),
    untested(
        "cli::unknown_ending",
        "The output cannot be written in the format that the ending of the target's name asks for.",
        "missing: The test in tests/end_to_end/commands.rs that checks the message would also check the code.",
    ),
    untested(
        "cli::unknown_port",
        "The stage has no output with this name.",
        "missing: An end-to-end test would run `pipeline show` with a stage and an output it does not have.",
    ),
    tested("cli::unknown_run", "No run matches the name, or its beginning matches several runs."),
    tested("cli::unknown_stage", "The pipeline has no stage with this name. It is usually a typing mistake."),
    tested(
        "cli::unwritable",
        "The target of a copy cannot be created, usually because of the permissions of its folder.",
    ),
    tested(
        "collect::database",
        "The `host`, `database` or `user` of a PostgreSQL source is empty, or `host` is a URL.",
    ),
    tested(
        "collect::digest",
        "A `digest` is not `sha256:` with 64 hexadecimal digits, or some URLs have a digest and others do not.",
    ),
    tested("collect::encoding", "The key `encoding` is empty."),
    tested(
        "collect::fill_images",
        "The setting `on_error: fill` is used for decoded images, but pixels cannot be missing.",
    ),
    tested("collect::format", "The ending of a file's name belongs to another format than the one it is read as."),
    tested("collect::item", "The column under `item` is also one of the annotators' columns."),
    tested("collect::no_annotator", "The list `annotators.columns` is empty."),
    tested("collect::no_data", "The patterns of `annotators` match every column, so no data column is left."),
    tested("collect::no_key", "A `join` of sources has an empty list under `on`."),
    tested("collect::no_path", "The source names no file, or a path is empty."),
    tested("collect::no_query", "The `query` of a database source is empty."),
    tested("collect::one_source", "A `concat` or `join` needs at least two sources."),
    tested(
        "collect::password",
        "The value of `password_env` is not the name of an environment variable. It may be the password itself.",
    ),
    tested("collect::separator", "A `delimiter` or `quote` is not a single ASCII character, or the two are the same."),
    tested(
        "collect::several_targets",
        "More than one column has the role `target`, so `train` needs an explicit `target`.",
    ),
    tested("collect::unit", "The `unit` of a column is empty."),
    tested("collect::unused_s3", "The key `s3` is set, but no path of the source starts with `s3://`."),
    tested(
        "collect::url",
        "A URL, an `s3://` path or `endpoint` is incomplete, holds credentials, or matches many objects where one is read.",
    ),
    tested("command::empty", "The key `run` is empty."),
    tested(
        "command::env_name",
        "An entry of `env` is not a valid name of an environment variable. The key lists names without values.",
    ),
    tested("command::failed", "The command ended with an error status or was killed by a signal."),
    tested(
        "command::input_name",
        "Two inputs would get the same environment variable, because their names differ only in case or punctuation.",
    ),
    tested("command::missing_output", "The command succeeded but did not write a path that is listed under `outs`."),
    tested("command::nul", "The command line contains a NUL character."),
    untested(
        "command::old_output",
        "An old output cannot be removed, or its folder cannot be created, before the command starts.",
        "missing: An engine test would declare the output `a/b` in a project where `a` is a file.",
    ),
    tested("command::outs_overlap", "A path is listed twice under `outs`, or one of the paths lies inside another."),
    tested("command::path", "A path under `deps` or `outs` is empty."),
    tested(
        "command::reads_its_output",
        "A path is listed under `deps` and under `outs`, so the stage would run every time.",
    ),
    untested(
        "command::shell",
        "The shell that runs the command cannot be started.",
        "Needs a system without `/bin/sh` or without free processes or file handles.",
    ),
    tested(
        "command::too_many_inputs",
        "The list of input paths is longer than the system allows for one environment variable.",
    ),
    tested(
        "command::unknown_input",
        "The command uses an `$INPUT_` variable, but no input of the stage has that name.",
    ),
    tested(
        "compress::already_quantised",
        "The input model is already quantised to 8 bits and cannot be compressed again.",
    ),
    tested(
        "compress::budget_bytes",
        "The limit `budget.bytes` is smaller than the smallest size the compressed model can have.",
    ),
    untested(
        "compress::diverged",
        "The loss became infinite or NaN during fine-tuning, usually because the learning rate is too high.",
        "missing: A test of `compress` would fine-tune with a very large `lr`.",
    ),
    tested("compress::empty_budget", "The key `budget` sets neither `accuracy_drop` nor `bytes`."),
    untested(
        "compress::judged_on_calibration_rows",
        "The input `check` is missing, so the loss of accuracy is measured on the rows the model is tuned on.",
        "missing: A test of `compress` would leave `check` out and look at the warnings.",
    ),
    tested("compress::no_check", "The limit `accuracy_drop` is measured on the input `check`, which is not connected."),
    untested(
        "compress::no_rows",
        "The data set for calibration has no rows.",
        "missing: A unit test would call `quantize` with a tensor that has no rows.",
    ),
    tested(
        "compress::no_target",
        "The connected data lacks the target column, which pruning and the measurement of the loss need.",
    ),
    untested(
        "compress::not_finite",
        "A layer gives infinite or NaN values on the calibration rows. Its weights probably overflowed in training.",
        "missing: A unit test would call `quantize` for a network with an infinite weight.",
    ),
    tested("compress::nothing_to_do", "Neither `prune` nor `quantize` is set."),
    tested(
        "compress::nothing_to_prune",
        "The model has no channels or units that could be removed. A linear model, for example, has none.",
    ),
    tested(
        "compress::over_budget",
        "The compressed model loses more accuracy or takes more bytes than `budget` allows.",
    ),
    tested("data::aggregate_type", "The aggregate function is not defined for the type of the column."),
    untested(
        "data::bad_bucket",
        "The client of an S3 bucket cannot be configured. An `AWS_` variable or an option under `s3` is wrong.",
        "missing: A test in tests/end_to_end/remotes.rs would set a boolean `AWS_` variable to a word that is not one.",
    ),
    tested(
        "data::bad_character",
        "A `delimiter` or `quote` reached the worker that is not one ASCII character, or the two are the same.",
    ),
    tested("data::bad_query", "The database refuses the query, or the query is not a plain `select`."),
    tested("data::bin_edges", "The `edges` of `bin` do not ascend, or one of them is not finite."),
    tested("data::bin_labels", "The number of `labels` of `bin` is not one more than the number of `edges`."),
    untested(
        "data::broken_image",
        "A cell that `decode_images` reads is not an image or is damaged.",
        "missing: A test of the steps would use `decode_images` on a column of bytes that are no image.",
    ),
    tested(
        "data::bucket_login",
        "The S3 store refuses access. The credentials are missing, wrong or not allowed to read the bucket.",
    ),
    tested(
        "data::cannot_cast",
        "The type of the column cannot be converted to the requested type, or `on_error: fill` meets a tensor.",
    ),
    tested("data::cast_twice", "Two patterns of `cast` match the same column and ask for different types."),
    tested("data::category", "The column of `one_hot` has values that are not listed under `categories`."),
    tested(
        "data::cell",
        "A cell cannot be read as the type of its column, or it is missing where a value is required.",
    ),
    untested(
        "data::changed",
        "A delimited file changed between the two passes that read it.",
        "Needs a file that changes between two passes of one read, which a test cannot time reliably.",
    ),
    tested(
        "data::changed_meanwhile",
        "A remote file or object changed between the check of its state and the end of the download.",
    ),
    tested("data::clip_range", "The bounds of `clip` are missing, are reversed or do not fit the type of the column."),
    tested(
        "data::columns_differ",
        "Files or sources that are collected together do not have the same columns or `key=value` folders.",
    ),
    tested("data::damaged_archive", "An archive cannot be unpacked because it is cut off or damaged."),
    tested("data::damaged_arrow", "A file cannot be read as Arrow. It is cut off, damaged or in another format."),
    tested("data::damaged_compression", "A compressed file cannot be unpacked because it is cut off or damaged."),
    tested("data::damaged_database", "A file cannot be opened as an SQLite database."),
    tested(
        "data::damaged_dataset",
        "A data set in the store cannot be read. It is damaged or was not written by `pipeline`.",
    ),
    tested("data::damaged_idx", "A file cannot be read as IDX, the format of MNIST."),
    tested("data::damaged_image", "An image is missing from its row or cannot be decoded."),
    tested("data::damaged_npy", "A file cannot be read as a NumPy array or archive."),
    tested("data::damaged_parquet", "A file cannot be read as Parquet. It is cut off, damaged or in another format."),
    tested(
        "data::database_busy",
        "An SQLite database has changes in a `-wal` or `-journal` file that are not in the database yet.",
    ),
    tested("data::database_down", "The PostgreSQL server cannot be reached or accepts no connections."),
    tested(
        "data::database_insecure",
        "No TLS connection to the PostgreSQL server can be made, for example because its certificate is not trusted.",
    ),
    tested("data::database_login", "The PostgreSQL server refuses the user, or the password is wrong or missing."),
    tested("data::date_format", "A format of `parse_dates` is not valid or cannot be used."),
    tested("data::date_type", "The step `parse_dates` is used on a column that is not text."),
    tested(
        "data::digest_differs",
        "A downloaded file does not have the declared digest. The file on the server has changed.",
    ),
    tested("data::disk_full", "The disk or the quota is full, so the data set could not be written."),
    tested("data::duplicate_column", "Two columns would have the same name."),
    tested("data::duplicate_item", "Two rows have the same value in the column that identifies the annotated items."),
    tested("data::empty", "A source, part or result has no rows, where at least one row is needed."),
    tested("data::empty_name", "A column has no name, or it would be renamed to an empty name."),
    tested(
        "data::encoding",
        "A text or a file's name is not valid in the expected encoding, which is UTF-8 unless `encoding` is set.",
    ),
    tested("data::encrypted_archive", "An entry of a zip archive is encrypted."),
    tested("data::expression", "An SQL expression or query is empty, cannot be parsed or does not fit the columns."),
    tested(
        "data::expression_value",
        "An SQL expression has no value for some row, for example because of a division by zero or an overflow.",
    ),
    tested("data::files_not_read", "A folder contains files that the source does not read."),
    tested("data::fill_type", "A value of `fill_missing`, `replace` or `one_hot` does not fit the type of its column."),
    tested("data::filled", "Some cells could not be read and became missing, because `on_error: fill` is set."),
    tested("data::filter_type", "The expression of a filter does not give true or false."),
    tested(
        "data::fitted_step",
        "The value of `fill_missing` is a statistic such as `mean`, which would have to be learned from the data.",
    ),
    tested(
        "data::image_fill",
        "The setting `on_error: fill` is used with `decode_images`, but a tensor has no missing elements.",
    ),
    tested("data::image_size", "A `size` is out of range, or a crop is larger than the image."),
    tested(
        "data::image_type",
        "An image step is used on a column that does not have the required type or number of channels.",
    ),
    tested("data::join_keys", "A `join` step has neither `on` nor `keys`."),
    tested("data::join_multiplies", "Some rows have several partners in the other table, so the `join` repeats them."),
    tested(
        "data::join_tensor",
        "A left `join` would add a tensor column, which cannot be missing in rows without a partner.",
    ),
    tested("data::join_type", "The two columns of a join key have different types, or one of them is a tensor."),
    untested(
        "data::kernel",
        "An operation of the table engine failed after all checks before it had passed.",
        "Guards against an Arrow kernel that refuses what the checks before it have accepted.",
    ),
    tested("data::key_type", "A tensor column is used as a key."),
    untested(
        "data::lacking_column",
        "A source under `concat` lacks a column of the others, so its rows are missing in that column.",
        "missing: The test in stages/data/tests/data/sources.rs that checks the message would also check the code.",
    ),
    tested("data::language_what", "The step `language` sets neither `keep` nor `into`."),
    tested(
        "data::malformed_row",
        "A row or line is broken, for example by a quote that is never closed or a wrong number of cells.",
    ),
    tested("data::memory", "A step needs more memory than its limit allows."),
    tested("data::missing_image", "A path in the table of labels does not lead to an image inside the folder."),
    tested("data::missing_target", "Some rows have no value in the target column."),
    tested(
        "data::model_columns",
        "The connected data lacks a column the model was trained with, or the column has another type.",
    ),
    tested(
        "data::model_target",
        "The connected data lacks the target column of the model, or the column has another type.",
    ),
    tested("data::near_type", "The step `drop_near_duplicates` is used on a tensor column."),
    tested("data::nested", "A value of a JSON line is a list or an object, but a column holds one value a row."),
    untested(
        "data::nested_folder",
        "A folder of images or texts has a folder inside a class folder.",
        "missing: A test of the formats would collect images with a folder inside a class folder.",
    ),
    tested("data::no_class", "A file lies beside the class folders, so it has no label."),
    tested("data::no_columns", "No column is left after a step."),
    tested("data::no_images", "The data set has no image column that could be drawn."),
    tested("data::no_labels", "All cells of the annotators' columns are empty."),
    tested("data::no_match", "No column matches the pattern."),
    tested("data::no_object", "No object in the bucket matches the path, or the bucket does not exist."),
    tested(
        "data::not_a_label",
        "An annotator's column holds values that are not labels, such as fractions or tensors.",
    ),
    untested(
        "data::not_a_number",
        "A column that the encoder needs as a number is text or a tensor.",
        "missing: A unit test would call `Dataset::numbers` for a text column.",
    ),
    untested(
        "data::not_a_scalar",
        "A tensor or bytes column is used where distinct values are needed.",
        "missing: A unit test would call `Dataset::texts` for a tensor column.",
    ),
    untested(
        "data::not_a_tensor",
        "A column that the model needs as a tensor is not one, or some of its cells are missing.",
        "missing: A unit test would call `Dataset::packed` for a text column.",
    ),
    tested("data::not_finite", "A numeric column holds an infinite or NaN value."),
    tested(
        "data::not_row_wise",
        "An expression does not depend on the columns of one row alone, or it depends on the clock or on chance.",
    ),
    tested("data::nothing_inside", "No file in the archive matches `inside` or the format."),
    tested("data::nothing_to_clean", "The step `clean_text` has no option set, so it changes nothing."),
    tested("data::nothing_to_fill", "No column that fits the value of `fill_missing` has missing cells."),
    tested("data::number_type", "The step is defined for numbers only, and the column is not a number."),
    untested(
        "data::other_shape",
        "A tensor column has another shape than in the data the model was trained on.",
        "missing: A stage test would evaluate an image model on images of another size.",
    ),
    tested(
        "data::pack_missing",
        "A column of `pack` has missing cells, which a tensor cannot hold, or it may have them.",
    ),
    tested("data::pack_shape", "The `shape` of `pack` is not valid or does not match the number of values."),
    tested("data::pack_type", "The step `pack` is used on a column that is neither a number nor true or false."),
    tested(
        "data::pattern",
        "A regular expression is not valid, or its groups do not match the new columns or the replacement.",
    ),
    untested(
        "data::read_only",
        "The folder of the store is read-only for this user, so the data set could not be written.",
        "missing: A unit test would call `unwritable` with an error of the kind `ReadOnlyFilesystem`.",
    ),
    tested("data::rejected", "Some rows could not be read and were moved to the output `rejected`."),
    tested(
        "data::rejected_rows",
        "More rows were rejected than the output `rejected` keeps, because `keep_rejected` is set.",
    ),
    tested("data::replace_what", "The step `replace` needs either `values`, or `pattern` with `with`."),
    tested(
        "data::rows_differ",
        "Files that belong together have different numbers of rows, or `labels` is used with several arrays.",
    ),
    tested("data::sample_size", "The step `sample` needs either `rows` or `share`."),
    tested("data::sizes_differ", "The images do not all have the same size, and no `size` is set."),
    tested("data::sort_type", "The step `sort` is used on a tensor column."),
    tested("data::split_by", "The step `split_column` needs either `by` or `pattern`."),
    tested("data::text_type", "The column is not text, or it cannot be written as text."),
    tested("data::too_large", "A file, download, archive, query result or table is larger than the limit."),
    tested(
        "data::too_many_rejected",
        "More than half of the rows cannot be read. The format, a `dtype`, the `delimiter` or the `encoding` is probably wrong.",
    ),
    tested(
        "data::too_wide",
        "A file has too many columns. The `delimiter` may be wrong, or the keys of the rows may be values.",
    ),
    tested(
        "data::types_differ",
        "A column or join key has types in different sources or rows that cannot be combined.",
    ),
    tested("data::unknown_column", "The data has no column with this name. It is usually a typing mistake."),
    tested("data::unknown_encoding", "The value of `encoding` is not the name of a known encoding."),
    tested("data::unknown_function", "The expression uses a function that does not exist."),
    tested("data::unknown_language", "The step `language` lists a code of a language that cannot be detected."),
    tested("data::unknown_table", "A `join` or a query uses a table that is not an input of the stage."),
    tested("data::unreachable", "The server or store of a remote file cannot be reached or refuses the request."),
    tested(
        "data::unreadable",
        "A file cannot be opened or read. It is missing, is a folder, or its permissions do not allow it.",
    ),
    tested(
        "data::unsafe_archive",
        "An archive holds an entry that leaves its folder, appears twice, or is a link or a device.",
    ),
    tested("data::unseen_class", "Some rows have a target class that does not occur in the training part."),
    tested("data::unsupported_archive", "An entry of a zip archive uses a compression method that is not supported."),
    tested("data::unsupported_codec", "A Parquet file uses a compression codec that is not supported."),
    tested("data::unsupported_type", "A column or array has a type that a data set cannot hold."),
    untested(
        "data::unwritable",
        "The operating system refused to write the data set.",
        "missing: A test of the data worker would give an output path in a folder that does not exist.",
    ),
    untested(
        "data::write",
        "A data set of predictions could not be written.",
        "Guards against an Arrow writer that fails although it writes into memory.",
    ),
    tested(
        "data::wrong_format",
        "A file has another format than the source expects, or a file is named where a folder is expected.",
    ),
    tested(
        "defaults::too_long",
        "The values of `defaults` add up to too much text when they are copied into the stages.",
    ),
    tested("defaults::unknown_kind", "A key under `defaults` is neither a kind of stage nor the key for all stages."),
    tested("device::missing", "The requested CUDA device does not exist on this machine."),
    tested("device::no_cuda", "The worker found no CUDA, or no device with the requested number."),
    tested("device::unknown", "The value of `device` is not `auto`, `cpu`, `cuda` or `cuda:N`."),
    tested("document::beside_choice", "The options of a choice are indented beside its name instead of below it."),
    tested("document::choice_needs_value", "The choice has required options and cannot be written as a name alone."),
    tested("document::empty", "The pipeline file is empty or has only comments."),
    tested("document::missing_key", "A mapping lacks a required key."),
    tested("document::no_options", "The choice has no options, so it must be written without a colon."),
    tested("document::no_stages", "The pipeline has no stages."),
    tested("document::no_value", "A key has no value. The fault is a warning where an empty value is allowed."),
    tested("document::out_of_range", "A number is outside its allowed range or is not finite."),
    tested("document::repeated_item", "A list whose items must differ contains an item twice."),
    tested("document::stage_name", "The name of a stage is not a letter followed by letters, digits, `_` or `-`."),
    tested("document::two_choices", "Two choices are written where exactly one is allowed."),
    tested(
        "document::unknown_choice",
        "The value is not one of the allowed choices, or the choice is not written as the key.",
    ),
    tested("document::unknown_key", "A mapping has a key that does not exist at that place."),
    tested("document::unknown_kind", "The value of `kind` is not a kind of stage."),
    tested("document::wrong_format", "A text does not have the required format, such as a number with a unit."),
    tested("document::wrong_length", "A text, list or mapping is shorter or longer than allowed."),
    tested("document::wrong_type", "A value has the wrong type, for example a text where a number is expected."),
    untested(
        "engine::no_runtime",
        "The system has no free threads or file handles, so the run cannot start.",
        "Needs a system without free threads or file handles when the run starts.",
    ),
    tested("evaluate::condition", "A value under `require` is not a condition such as `>= 0.9`."),
    tested("evaluate::impossible", "A condition under `require` can never hold, because the metric has another range."),
    tested("evaluate::metric_task", "A metric does not fit the task, for example `rmse` for a classification."),
    tested("evaluate::no_metrics", "The list `metrics` is empty."),
    tested("evaluate::not_computed", "A metric is used under `require` but is not listed under `metrics`."),
    untested(
        "evaluate::undefined",
        "A metric is not defined on these rows, for example AUROC when all rows have one class.",
        "missing: A stage test would ask `evaluate` for AUROC on rows of one class.",
    ),
    tested("evaluate::unknown_class", "A condition under `require` names a class that the target does not have."),
    tested("evaluate::unknown_metric", "A key under `require` is not the name of a single number that a metric gives."),
    tested("expand::child_failed", "An expanding stage cannot go on because one of its children failed."),
    tested(
        "expand::proposal",
        "An expanding stage proposed children or inputs that are not valid. This is a mistake in its kind.",
    ),
    untested(
        "expand::too_many",
        "An expanding stage asks for more children than the limit. The number of trials or rounds is too large.",
        "missing: A kind in engine/tests/yard would ask for one child more than the limit in its first round.",
    ),
    untested(
        "expand::unknown_port",
        "An expanding stage tries to read an output that does not exist. This is a mistake in its kind.",
        "missing: A kind in engine/tests/yard would read an output that its child does not have.",
    ),
    untested(
        "export::column",
        "The model uses a column of raw bytes, for which ONNX has no type.",
        "Guards against a model with a column of raw bytes, which no encoder accepts in `train`.",
    ),
    tested("export::encoder", "The model uses an encoder that cannot be written as ONNX."),
    tested(
        "export::mismatch",
        "The exported file gives other results than the model when an independent runtime checks it.",
    ),
    tested("export::path", "The value of `to` is empty or names a folder instead of a file."),
    untested(
        "export::rows",
        "The test rows for the check of an exported file cannot be made or written.",
        "missing: A unit test would call `made_up` with a path in a folder that does not exist.",
    ),
    tested("export::suffix", "The ending of `to` belongs to another format than the one that is written."),
    tested(
        "features::encoded_twice",
        "A column is listed twice under `features` with different encoders. The later one is used.",
    ),
    tested("features::encoder", "The chosen encoder cannot encode the type of the column."),
    tested(
        "features::many_values",
        "A `one_hot` column has very many distinct values, and each of them becomes an input of the model.",
    ),
    tested("features::none", "No column with values is left for the model to learn from."),
    tested("features::range", "The range `n` of `tf_idf` starts with the larger number."),
    tested("features::role", "A column under `features` has another role than `feature`."),
    tested("features::too_many_values", "An `embedding` column has more distinct values than the encoder supports."),
    tested("features::unencodable", "No encoder turns a column of this type into numbers."),
    tested("file::missing", "A file that a stage reads does not exist."),
    tested("file::no_match", "No file matches a pattern that a stage reads."),
    untested(
        "file::unreadable",
        "A file that a stage reads cannot be opened or read, usually because of its permissions.",
        "missing: An engine test would plan a stage that reads a file whose name has 300 characters.",
    ),
    tested(
        "gate::not_met",
        "A condition under `require` or an expectation of `profile` is not met, or its metric has no value.",
    ),
    tested("graph::cycle", "Stages depend on each other in a cycle, or a stage depends on itself."),
    untested(
        "graph::duplicate_stage",
        "Two stages have the same name.",
        "missing: An engine test would plan two stages with the same name, which the language itself refuses.",
    ),
    tested("graph::missing_input", "A required input of a stage is not connected."),
    tested("graph::no_match", "No name of a stage matches the pattern."),
    tested("graph::reads_own_output", "A stage reads a file that it writes itself."),
    tested(
        "graph::stage_off",
        "The selected stage is switched off by its `when`, or by the `when` of a stage it reads from.",
    ),
    tested("graph::two_writers", "Two outputs have the same path, or one of the paths lies inside the other."),
    tested("graph::unknown_kind", "The engine was given a stage whose kind is not registered."),
    tested("graph::unknown_port", "A stage has no input or output with this name."),
    tested("graph::unknown_stage", "A name or reference does not match any stage. It is usually a typing mistake."),
    untested(
        "graph::unknown_tag",
        "No stage has the tag.",
        "missing: The test in tests/end_to_end/language.rs that selects `tag:nigthly` would also check the code.",
    ),
    tested(
        "graph::wrong_artifact",
        "An input is connected to an artifact of the wrong kind, for example a model instead of a data set.",
    ),
    tested("import::exists", "The target file of the import already exists."),
    untested(
        "import::missing_key",
        "The file that `pipeline pick` reads does not have the key.",
        "missing: The test in tests/end_to_end/importing.rs that picks `tran.lr` would also check the code.",
    ),
    tested("import::no_stages", "None of the stages of the DVC project can be imported."),
    tested("import::too_large", "The templates of the DVC project expand into too much text."),
    tested("import::too_many", "The DVC project expands into too many stages."),
    untested(
        "import::unwritable",
        "The imported pipeline cannot be written to the target file.",
        "missing: An end-to-end test would run `pipeline import` with `--output` in a folder that does not exist.",
    ),
    tested("include::circle", "Files include each other in a cycle."),
    tested("include::main_only", "An included file has a key that only the main file may have."),
    tested("include::too_many", "Too many files are included, or the chain of includes is too long."),
    tested("include::twice", "Two files define a stage, variable or other entry with the same name."),
    tested(
        "include::variable",
        "A path under `include` contains a variable, but files are included before variables have values.",
    ),
    untested(
        "init::cannot_write",
        "A file of the new project cannot be written, usually because of the permissions of the folder.",
        "missing: An end-to-end test would run `pipeline init` with a path below an ordinary file.",
    ),
    tested("init::in_the_way", "A file that `pipeline init` would write already exists."),
    tested(
        "leakage::checked_on_training_rows",
        "The input `check` of `compress` has rows the model was fitted on, so the measured loss is too small.",
    ),
    tested(
        "leakage::computed_before_split",
        "A column is computed from rows outside the training part, so validation or test data has leaked into it.",
    ),
    tested("leakage::evaluated_on_training_rows", "The model is evaluated on rows it was fitted on."),
    tested("leakage::joined_rows", "Cells the model was fitted on were computed from rows it is judged on."),
    tested(
        "leakage::same_file",
        "The model is fitted and judged on data from one file that was collected twice, so the two may share rows.",
    ),
    tested(
        "leakage::target_among_features",
        "The target column is listed under `features`, so the model would see the answer.",
    ),
    tested("leakage::validation_is_training", "The input `validation` has rows that are also in the training part."),
    tested("lock::changed", "With `--locked`, the stages, results or tools of the run differ from the lock file."),
    tested("lock::missing", "With `--locked`, no lock file exists."),
    untested(
        "lock::newer",
        "The lock file was written by a newer version of `pipeline`.",
        "missing: An end-to-end test would write a lock file with the format number 99 and run with `--locked`.",
    ),
    tested("lock::unreadable", "The lock file cannot be read or is not valid. It may have been merged by hand."),
    untested(
        "lock::unwritable",
        "The run succeeded, but the lock file cannot be written.",
        "missing: A unit test would call `Lock::write` with a path in a folder that does not exist.",
    ),
    tested("matrix::axis_name", "The name of an axis is not a letter followed by letters, digits, `_` or `-`."),
    tested("matrix::empty", "A `matrix` has no axis, or `exclude` removes every combination."),
    tested("matrix::empty_axis", "An axis of a `matrix` has no values."),
    tested("matrix::form", "A `matrix`, an axis, `exclude` or `include` does not have the required form."),
    tested("matrix::no_child", "The combination of values is excluded from the `matrix`, so it has no stage."),
    tested("matrix::none", "A selection in brackets is used on a stage that has no `matrix`."),
    tested("matrix::open_axis", "A selection in brackets or an entry of `include` has no value for one of the axes."),
    tested("matrix::outside", "A `${matrix.NAME}` is used outside a stage that has a `matrix`."),
    tested("matrix::repeated_value", "Two values of an axis have the same name."),
    tested(
        "matrix::selection",
        "A selection in brackets cannot be parsed. It consists of `axis=value` entries and `*`.",
    ),
    tested("matrix::takes_one", "An input that takes one artifact is connected to several stages of a `matrix`."),
    tested("matrix::too_large", "The stages of all `matrix` keys together are too many or too large."),
    tested("matrix::too_many", "One `matrix` makes more stages than the limit."),
    tested("matrix::unknown_axis", "The `matrix` has no axis with this name."),
    tested("matrix::unknown_value", "The axis has no value with this name."),
    tested("matrix::which", "The name of a stage with a `matrix` is used where one of its stages must be chosen."),
    tested("model::damaged", "The file of a model cannot be read. It is damaged or was not written by `pipeline`."),
    tested("model::empty_residual", "A `residual` block has no layers."),
    tested("model::even_kernel", "The `kernel` of a `cnn` is even and would change the size of the image."),
    tested("model::newer", "The file of a model was written by a newer version of `pipeline`."),
    tested("model::not_an_image", "A `cnn` needs a single image as its input, but the features are not one image."),
    tested("model::output", "The last layer has the wrong number of outputs, so an output layer is added after it."),
    tested(
        "model::residual_shape",
        "The layers of a `residual` block change the shape, so their result cannot be added to the input.",
    ),
    tested("model::shape", "A layer needs an image as its input and gets another shape."),
    tested(
        "model::tensors",
        "The weights in the file of a model do not match its network. The file is damaged or from another version.",
    ),
    tested("model::too_large", "The model would have too many parameters."),
    tested("model::window_too_large", "A kernel or pooling window is larger than the image at that layer."),
    untested(
        "model::write",
        "A model or another output of `pipeline-torch` cannot be written.",
        "missing: A stage test would give `train` an output path in a folder that does not exist.",
    ),
    tested("parameters::invalid", "The parameters of a stage do not match its kind, although they passed its schema."),
    tested("path::absolute", "The path of an output is absolute, but outputs must lie inside the project."),
    tested(
        "path::link_outside",
        "The path of an output is or passes through a link that leads out of the project or is broken.",
    ),
    tested("path::nul", "A path contains a NUL character."),
    tested("path::outside", "The path of an output leads out of the project or is the project folder itself."),
    tested(
        "path::reserved",
        "An output would overwrite the store, `.git` or a file of the pipeline, or a stage reads the store.",
    ),
    tested(
        "profile::bounds",
        "An expectation of a `profile` stage has bounds that exclude nothing or everything, or that do not fit its column.",
    ),
    tested("profile::column_type", "An expectation of a `profile` stage cannot be checked for the type of the column."),
    tested("profile::no_column", "An expectation of a `profile` stage has no `column`."),
    tested("profile::no_related", "An expectation uses `foreign_key`, but the input `related` is not connected."),
    tested("profile::nothing_expected", "An expectation of a `profile` stage sets no condition."),
    tested("profile::regex", "The `regex` of an expectation is not a valid regular expression."),
    tested("profile::route", "A key in a profile of `profiles` is not a valid path of keys with dots between them."),
    tested(
        "profile::rows_of_column",
        "An expectation sets both `rows` and `column`, but the number of rows belongs to no column.",
    ),
    tested("profile::target_type", "The `target` of a `profile` stage is a tensor, which cannot be a target."),
    tested("profile::unknown", "No profile with this name exists under `profiles`."),
    tested("profile::unknown_stage", "A profile of `profiles` changes a stage that does not exist."),
    tested("profile::unknown_variable", "A profile of `profiles` sets a variable that does not exist."),
    untested(
        "profile::unreadable",
        "The reference of a `profile` stage is not a stored profile that this version can read.",
        "missing: A unit test would call `reference` for a JSON file that is no profile.",
    ),
    tested(
        "profile::which_related",
        "Several related tables have the column of a `foreign_key`, so the table must be named.",
    ),
    tested("resources::beyond", "A stage asks for more processors, GPUs or memory than the run has. It runs alone."),
    tested(
        "run::inputs_keep_changing",
        "The inputs of a stage changed during each of its attempts, so no result was kept.",
    ),
    tested("run::memory", "The stage was ended because it exceeded its limit `resources.memory`."),
    untested(
        "run::no_command",
        "The engine was asked to start a command for a stage that has none. This is a mistake in `pipeline`.",
        "Guards against a mistake in the engine, which no pipeline can cause.",
    ),
    untested(
        "run::panic",
        "The engine itself failed while it handled a stage. This is a mistake in `pipeline`.",
        "Guards against a panic in the engine, which no pipeline should be able to cause.",
    ),
    untested(
        "run::record",
        "The record of a stage cannot be written as JSON. This is a mistake in `pipeline`.",
        "Guards against a record without a JSON form, which no pipeline can cause.",
    ),
    untested(
        "run::request",
        "A request to a worker is missing or cannot be written as JSON. This is a mistake in `pipeline`.",
        "Guards against a missing request or one without a JSON form, which no pipeline can cause.",
    ),
    tested("run::set_aside", "A file at the path of an output was not written by the pipeline, so it was moved aside."),
    untested(
        "run::stopped",
        "A question to a worker was stopped before it had an answer.",
        "Guards the conversion of an attempt's error, because no question to a worker receives a stop signal.",
    ),
    tested("run::timeout", "The stage was ended because it exceeded its `timeout`."),
    tested(
        "run::unstable",
        "A stage gave a different result for the same inputs and parameters. Something undeclared influences it.",
    ),
    tested(
        "set::form",
        "A `--set` is not a path and a value with `=` between them, or it would replace a whole stage.",
    ),
    tested("set::position", "A `--set` names a position that does not exist in the list."),
    tested("set::unknown_stage", "A `--set` names a stage that does not exist."),
    tested("set::unknown_variable", "A `--set` names a variable that does not exist."),
    tested("source::encoding", "A pipeline file or an included file is not UTF-8."),
    tested("source::folder", "The path of a pipeline file or an included file is a folder."),
    tested("source::missing", "A pipeline file or an included file does not exist."),
    tested("source::not_a_file", "The path of a pipeline file or an included file is a pipe or a device."),
    untested(
        "source::permission",
        "The permissions of a pipeline file or an included file do not allow it to be read.",
        "Needs a file that the user may not read, and the root user may read every file.",
    ),
    tested("source::too_large", "A pipeline file or an included file is larger than the limit."),
    untested(
        "source::unreadable",
        "A pipeline file or an included file cannot be read, for example because the disk fails.",
        "missing: A test in schemas/tests/samples.rs would load a path whose name has 300 characters.",
    ),
    tested("split::cut_type", "A value under `cuts` does not fit the type of the `time` column."),
    tested("split::cuts_of_what", "The key `cuts` is used without `time`."),
    tested("split::empty_part", "A part would get no rows, because its share is too small for the number of rows."),
    tested("split::group_type", "A column of `group` or `together` is a tensor, which cannot define groups."),
    tested("split::no_part", "A value of the `by` column belongs to none of the listed parts."),
    untested(
        "split::no_time",
        "A row has no value in the `time` column.",
        "missing: A unit test of `split` would divide a table by a `time` column with a missing cell.",
    ),
    tested("split::one_part", "The split has fewer than two parts, or no key says how to divide the rows."),
    tested("split::part_name", "The name of a part is not valid, or `train` is used under `cuts`."),
    untested(
        "split::rare_class",
        "A class has no rows in some of the parts, because it has too few rows.",
        "missing: A unit test of `split` would stratify by a column in which one class has a single row.",
    ),
    tested(
        "split::rare_classes",
        "The `stratify` column has too many distinct values for most of them to be in all parts.",
    ),
    tested("split::ratio", "The share of a part is not larger than 0."),
    tested("split::ratios", "The shares of the parts do not sum to 1."),
    tested(
        "split::series",
        "Rows that look like a time series are divided at random, so the model learns from neighbours of the test rows.",
    ),
    tested(
        "split::stratify_type",
        "The `stratify` column has no classes, because it holds fractions, bytes or tensors.",
    ),
    tested("split::time_type", "The `time` column is neither a date, a datetime nor a number."),
    tested(
        "split::told_apart",
        "A small classifier can distinguish the test part from the training part, so their rows differ.",
    ),
    tested(
        "split::too_many_classes",
        "The `stratify` column has so few rows for each value that their shares cannot be kept.",
    ),
    tested("split::two_ways", "Two keys are set that divide the rows in different ways."),
    tested("split::unknown_value", "A value under `by` does not occur in the column."),
    untested(
        "store::busy",
        "Another process uses the store while it must be used by one process alone.",
        "Never reaches a user, because `gc` catches it and continues beside the other process.",
    ),
    untested(
        "store::changing",
        "A file kept changing while it was read.",
        "Needs a file that changes during each of several reads, which a test cannot time reliably.",
    ),
    tested("store::damaged", "A blob in the store is missing or damaged. The stage that made it has to run again."),
    tested("store::full", "The disk, the quota or the limit for file sizes is exhausted."),
    tested("store::io", "The operating system refused an operation on the store or on a file of the project."),
    tested("store::missing", "A file or folder that the store should read does not exist."),
    tested("store::newer_format", "The store was written by a newer version of `pipeline`."),
    tested(
        "store::not_a_store",
        "The folder of the store was not made by `pipeline`, or its file `format` is damaged.",
    ),
    tested("store::permission", "The user may not read or write a file of the store or the project."),
    tested("store::read_only", "The store or the project lies on a read-only file system."),
    untested(
        "store::remote",
        "The observed state of a remote file cannot be written to the store.",
        "missing: A unit test would put a file where `remember` creates its folder.",
    ),
    tested(
        "store::unstorable",
        "An output holds something that cannot be stored, such as a socket, a link that leads out or a name that is not UTF-8.",
    ),
    tested("torch::operator", "An operator of libtorch failed."),
    untested(
        "torch::out_of_memory",
        "The worker could not allocate memory on the CPU or the GPU.",
        "missing: A unit test would call `operator` with an error text that contains `out of memory`.",
    ),
    tested(
        "train::batch_of_one",
        "Batch normalisation would get a batch of one row, from which it cannot compute a deviation.",
    ),
    tested("train::batch_size", "The key `batch_size` is 1 in a model with batch normalisation."),
    tested(
        "train::like_classes",
        "A column of floats with only a few whole numbers is predicted as a number. It may hold classes.",
    ),
    tested("train::loss", "The chosen `loss` does not fit the task."),
    untested(
        "train::loss_task",
        "The chosen `loss` does not fit the task. The worker found what the check of the pipeline should have found.",
        "missing: A unit test would call `Objective::of` with `mse` for a classification.",
    ),
    tested(
        "train::missing_target",
        "The target column may have missing cells. Rows without a target cannot be learned from.",
    ),
    tested(
        "train::nan_loss",
        "The loss became infinite or NaN during training, usually because the learning rate is too high.",
    ),
    tested("train::nesterov", "The key `nesterov` is set, but `momentum` is 0."),
    tested("train::no_target", "No `target` is set, and no column has the role `target`."),
    tested("train::no_validation", "The key `early_stopping` needs the input `validation`, which is not connected."),
    tested("train::one_class", "The target has at most one distinct value, so the model has nothing to learn."),
    tested("train::scratch", "The encoded rows do not fit in memory, and the scratch file for them cannot be written."),
    tested("train::several_targets", "Several columns have the role `target`, so `target` must be set."),
    untested(
        "train::state",
        "The saved state of a training cannot be written, is damaged or belongs to another model.",
        "missing: The test that resumes a training from half of its saved state would also check the code.",
    ),
    tested(
        "train::stopping_metric",
        "The key `early_stopping` watches the accuracy, which a regression does not have.",
    ),
    tested("train::target_type", "A column of this type cannot be predicted."),
    tested("train::task", "The key `task` does not fit the type of the target column."),
    tested(
        "train::validation_columns",
        "The input `validation` lacks a column of the training part, or the column has another type.",
    ),
    tested("train::warmup", "The `warmup` of the schedule is longer than the training."),
    tested("vars::bomb", "Variables that contain other variables expand into too many values or too many levels."),
    tested("vars::circle", "Variables refer to each other in a cycle."),
    tested("vars::in_key", "A key contains a variable, but variables are replaced only in values."),
    tested("vars::in_kind", "The value of `kind` contains a variable, but it must be written out."),
    tested("vars::in_text", "A variable that is a list or a mapping is used inside a text."),
    tested("vars::too_long", "Variables expand into too much text."),
    tested("vars::unclosed", "A `${` has no closing `}`."),
    tested("vars::undefined", "The variable, or the part of it that is named, does not exist."),
    tested("vars::unknown", "A `${NAME}` does not start with `vars.`, `env.` or `matrix.`."),
    tested("vars::unset_environment", "The environment variable is not set."),
    untested(
        "verify::no_record",
        "The record to compare with was removed while `pipeline verify` ran.",
        "Needs a record that is removed while `pipeline verify` runs, which a test cannot time reliably.",
    ),
    tested(
        "verify::not_recorded",
        "The stage is not up to date, or no selected stage has a stored result to compare with.",
    ),
    untested(
        "watch::unavailable",
        "The system cannot watch the files, usually because the limit of `inotify` watches is reached.",
        "Needs a system that has no file watches left.",
    ),
    tested("when::form", "The value of `when` is not a valid condition, or it compares a list or a mapping."),
    untested(
        "worker::bad_answer",
        "A worker gave an answer that cannot be read or written. The programs are probably from different versions.",
        "missing: An engine test would let the fake worker answer a look at remote files with another JSON value.",
    ),
    untested(
        "worker::bad_request",
        "A worker cannot use its request. The programs are probably from different versions.",
        "missing: A test of the data worker would send a request without its input `data`.",
    ),
    tested(
        "worker::died",
        "A worker process ended during a request, for example because the system killed it for lack of memory.",
    ),
    untested(
        "worker::failed",
        "A worker reported a failure without a fault. This is a mistake in the worker.",
        "missing: The fake worker in engine/examples would return an empty list of faults in an engine test.",
    ),
    tested("worker::missing", "A worker program is not installed where it is searched for."),
    tested("worker::missing_output", "A stage finished without one of its outputs. This is a mistake in its worker."),
    tested(
        "worker::no_hello",
        "A worker program ended at once or did not report that it is ready. A library it needs is often missing.",
    ),
    untested(
        "worker::no_output",
        "A request to `pipeline-torch` has no path for an output. The programs are probably from different versions.",
        "missing: A test of the torch worker would send a request without the path of its output.",
    ),
    tested(
        "worker::not_executable",
        "A worker program may not be executed, because of its permissions or its file system.",
    ),
    untested(
        "worker::not_started",
        "A worker program cannot be started, for example because the system has no free processes or threads.",
        "missing: An engine test would hold the worker's program file open for writing while it starts.",
    ),
    untested(
        "worker::other_version",
        "The version of the kind differs between `pipeline` and `pipeline-torch`. Install them together.",
        "missing: A test of the torch worker would send a request with another version of its kind.",
    ),
    tested("worker::panic", "A worker panicked during a request. This is a mistake in the program."),
    untested(
        "worker::parameters",
        "The parameters in a request to `pipeline-torch` cannot be read. The programs are probably from different versions.",
        "missing: A test of the torch worker would send parameters of the wrong type.",
    ),
    tested("worker::silent", "A worker did not answer a question within the time limit."),
    tested(
        "worker::unknown_kind",
        "A worker does not know the kind of the stage. The programs are probably from different versions.",
    ),
    untested(
        "worker::unknown_question",
        "A worker does not know the question it was asked. The programs are probably from different versions.",
        "missing: A unit test would call `infer` of the torch worker with any question.",
    ),
    tested("worker::unreadable", "A worker sent something that is not a valid answer."),
    tested(
        "worker::version",
        "The version of the kind differs between `pipeline` and `pipeline-data`. Install them together.",
    ),
    tested("worker::wrong_libtorch", "The libtorch that was loaded is not the version `pipeline-torch` was built for."),
    tested(
        "worker::wrong_protocol",
        "A worker program speaks another version of the protocol or does not speak it at all.",
    ),
    tested(
        "worker::wrong_tool",
        "A worker uses another version of a tool, such as libtorch, than this release or the planned run expects.",
    ),
    tested("yaml::after_quote", "Text follows a closing quote. The whole text must be quoted."),
    tested("yaml::alias_bomb", "The aliases of the file expand into too many values."),
    tested("yaml::block_text", "A block of text after a vertical bar or `>` does not start correctly."),
    tested("yaml::character", "The file contains an invisible byte-order mark after its start."),
    tested("yaml::colon_in_text", "A text that contains `: ` is not quoted."),
    tested("yaml::comment", "A comment interrupts a text, or the space before its `#` is missing."),
    tested("yaml::complex_key", "A list or a mapping is used as a key. A text that starts with `{` must be quoted."),
    tested("yaml::dash_in_brackets", "A list with dashes is written inside brackets."),
    tested("yaml::directive", "A line starts with `%`, or the text at this place cannot start a document."),
    tested("yaml::duplicate_key", "A mapping has the same key twice."),
    tested("yaml::escape", "A double-quoted text contains an escape that YAML does not know."),
    tested("yaml::indentation", "A line is indented by a width that matches none of the lines above it."),
    tested("yaml::merge", "The key `<<` is given a value that is neither a mapping nor a list of mappings."),
    tested("yaml::missing_colon", "A line lacks a colon after its key, or the space after the colon."),
    tested("yaml::missing_comma", "A comma or a closing bracket is missing between brackets."),
    tested("yaml::quote_needed", "A text starts with a character that must be quoted."),
    tested("yaml::recursive_alias", "An alias is used inside the value it refers to."),
    tested("yaml::second_document", "The file contains more than one document."),
    untested(
        "yaml::syntax",
        "The file is not valid YAML in a way that has no more precise code.",
        "No text is known that the parser refuses with an error that has no wording of its own.",
    ),
    tested("yaml::tab", "A tab is used where spaces are required."),
    tested("yaml::tag", "A tag that starts with `!` is not known, or its value does not fit the tag."),
    tested("yaml::too_deep", "Lists and mappings are nested too deeply. A bracket may not be closed."),
    tested("yaml::too_large", "The file has too many values."),
    tested("yaml::unclosed_bracket", "A bracket has no closing bracket."),
    tested("yaml::unclosed_quote", "A quote has no closing quote."),
    tested(
        "yaml::unknown_anchor",
        "An alias refers to an anchor that does not exist. A text that starts with `*` must be quoted.",
    ),
    tested(
        "yaml::wrong_bracket",
        "A bracket is closed with the wrong kind of bracket, or a closing bracket has no opening one.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_well_formed() {
        for pair in CODES.windows(2) {
            assert!(pair[0].code < pair[1].code, "`{}` and `{}`", pair[0].code, pair[1].code);
        }
        for entry in CODES {
            let word = |word: &str| {
                !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            };
            let (area, name) = entry.code.split_once("::").expect("an area and a name");
            assert!(word(area) && word(name), "`{}`", entry.code);
            assert!(entry.meaning.ends_with('.'), "`{}` has no sentence", entry.code);
        }
    }

    #[test]
    fn a_code_is_found_by_its_text() {
        assert_eq!(Code::find("graph::cycle"), Some(code!("graph::cycle")));
        assert_eq!(Code::find("graph::circle"), None);
        assert_eq!(String::from("graph::cycle"), code!("graph::cycle"));
    }
}
