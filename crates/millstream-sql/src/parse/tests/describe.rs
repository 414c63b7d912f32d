//! A statement as one line of text, without positions.

use std::fmt::Write as _;

use datafusion::sql::sqlparser::ast::Ident;

use crate::parse::*;

pub(super) fn describe(statement: &Statement) -> String {
    match statement {
        Statement::CreateTable(table) => create_table(table),
        Statement::CreateView(view) => {
            let mut text = "view".to_owned();
            flag(&mut text, view.or_replace, "or_replace");
            flag(&mut text, view.if_not_exists, "if_not_exists");
            flag(&mut text, view.temporary, "temporary");
            flag(&mut text, view.materialized, "materialized");
            let _ = write!(text, " {}{}{}", view.name, names(&view.columns), options(&view.options));
            text + &query(&view.query)
        }
        Statement::CreateSink(sink) => {
            let target = match &sink.target {
                SinkTarget::Into(table) => format!(" into {table}"),
                SinkTarget::Options(list) => options(list),
            };
            format!("sink {}{target}{}", sink.name, query(&sink.query))
        }
        Statement::CreateSecret(secret) => {
            let words = [(secret.or_replace, " or replace"), (secret.if_not_exists, " if absent")];
            let words: String = words.iter().filter(|(said, _)| *said).map(|(_, word)| *word).collect();
            format!("secret{words} {} {}", secret.name, secret.value)
        }
        Statement::CreateModel(model) => create_model(model),
        Statement::ExportModel(export) => format!("export model {} {:?} to {}", export.name, export.key, export.path),
        Statement::AlterModel(alter) => format!("alter model {} version {}", alter.name, alter.version),
        Statement::DescribeModel(name) => format!("describe model {name}"),
        Statement::Insert(one) => insert(one),
        Statement::StatementSet(list) => format!("set[{}]", list.iter().map(insert).collect::<Vec<_>>().join("; ")),
        Statement::Drop(drop) => {
            let mut text = format!("drop {:?}", drop.kind);
            flag(&mut text, drop.if_exists, "if_exists");
            flag(&mut text, drop.cascade, "cascade");
            format!("{text} {}", drop.name)
        }
        Statement::Show(kind) => match kind {
            ShowKind::Checkpoints(Some(name)) => format!("show checkpoints of {name}"),
            ShowKind::Create(name) => format!("show create {name}"),
            ShowKind::Columns(name) => format!("show columns of {name}"),
            ShowKind::Setting(name) => format!("show setting {name}"),
            other => format!("show {other:?}"),
        },
        Statement::Describe(name) => format!("describe {name}"),
        Statement::Set(set) => format!("set {} = {:?}", set.name, set.value),
        Statement::Reset(name) => format!("reset {name:?}"),
        Statement::Explain(explain) => {
            let mut text = "explain".to_owned();
            flag(&mut text, explain.analyze, "analyze");
            flag(&mut text, explain.verbose, "verbose");
            format!("{text} {}", describe(&explain.statement))
        }
        Statement::Query(select) => format!("query {}{}", select.query, emit(select.emit.as_ref())),
        Statement::Pipeline(command) => format!("{:?} {}", command.action, command.name),
        Statement::Flush => "flush".to_owned(),
        Statement::Other(other) => format!("other {}", other.name),
    }
}

fn create_model(model: &CreateModel) -> String {
    let mut text = "model".to_owned();
    flag(&mut text, model.or_replace, "or_replace");
    flag(&mut text, model.if_not_exists, "if_not_exists");
    let columns = |list: &[ModelColumn]| list.iter().map(|one| format!("{} {}", one.name, one.data_type)).collect::<Vec<_>>().join(", ");
    match &model.kind {
        ModelKind::File { inputs, outputs } => {
            format!("{text} {}({}) -> ({}){}", model.name, columns(inputs), columns(outputs), options(&model.options))
        }
        ModelKind::Learner { learner, features, label, key, reset_on_drift, query: from } => {
            let names = features.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let label = label.as_ref().map(|label| format!(" label {label}")).unwrap_or_default();
            let key = key.as_ref().map(|key| format!(" by {key}")).unwrap_or_default();
            let drift = reset_on_drift.map(|resets| format!(" drift {resets}")).unwrap_or_default();
            let from = from.as_ref().map(query).unwrap_or_default();
            format!("{text} {} type {learner}({names}){label}{key}{drift}{}{from}", model.name, options(&model.options))
        }
    }
}

fn create_table(table: &CreateTable) -> String {
    let mut text = format!("{:?}", table.word).to_lowercase();
    flag(&mut text, table.or_replace, "or_replace");
    flag(&mut text, table.if_not_exists, "if_not_exists");
    flag(&mut text, table.temporary, "temporary");
    flag(&mut text, table.append_only, "append_only");
    let columns: Vec<String> = table.columns.iter().map(column).collect();
    let _ = write!(text, " {}({})", table.name, columns.join(", "));
    if let Some(watermark) = &table.watermark {
        let delay = watermark.delay_ms().map_or_else(|err| err.to_string(), |ms| format!("{ms}ms"));
        let _ = write!(text, " watermark {} {delay}", watermark.column);
    }
    if !table.primary_key.is_empty() {
        let _ = write!(text, " key{}", names(&table.primary_key));
    }
    if let Some(like) = &table.like {
        let _ = write!(text, " like {like}");
    }
    if let Some(comment) = &table.comment {
        let _ = write!(text, " comment {comment:?}");
    }
    text += &options(&table.options);
    text + &table.query.as_ref().map(query).unwrap_or_default()
}

fn column(column: &Column) -> String {
    let mut text = match &column.kind {
        ColumnKind::Physical { data_type } => format!("{} {data_type}", column.name),
        ColumnKind::Computed { text, .. } => format!("{} = {text}", column.name),
        ColumnKind::Metadata { data_type, key, is_virtual } => {
            format!("{} {data_type} metadata {key:?} {is_virtual}", column.name)
        }
        ColumnKind::ProcessingTime => format!("{} = now", column.name),
    };
    flag(&mut text, column.not_null, "not_null");
    if let Some(comment) = &column.comment {
        let _ = write!(text, " comment {comment:?}");
    }
    text
}

fn insert(insert: &Insert) -> String {
    format!("insert {}{}{}", insert.table, names(&insert.columns), query(&insert.query))
}

fn query(query: &QueryText) -> String {
    format!(" as {{{}}}{}", query.text, emit(query.emit.as_ref()))
}

fn emit(emit: Option<&Emit>) -> String {
    match emit {
        None => String::new(),
        Some(emit) => {
            let late = emit.late_rows_into.as_ref().map(|table| format!(" late {table}")).unwrap_or_default();
            format!(" emit {:?} {}ms{late}", emit.mode, emit.allowed_lateness_ms)
        }
    }
}

fn names(names: &[Ident]) -> String {
    if names.is_empty() {
        return String::new();
    }
    format!("({})", names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

fn options(options: &[WithOption]) -> String {
    if options.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> =
        options.iter().map(|option| format!("{}={}{}", option.key, if option.is_secret { "secret " } else { "" }, option.value)).collect();
    format!(" with({})", pairs.join(", "))
}

fn flag(text: &mut String, set: bool, name: &str) {
    if set {
        let _ = write!(text, " {name}");
    }
}
