//! JSON records straight into Arrow builders.
//!
//! Written by hand, because no existing reader gives these meanings record by record: types that are never guessed, the last
//! of two equal keys, a record refused on its own with the path of what is wrong, an odd number under an unknown key that
//! harms nothing, and nothing allocated per record.
//!
//! A record is read in two steps. The first goes over its text once, says whether it is JSON, and notes for each column of
//! the schema where its value stands (a [`Slot`]). The second goes over the columns in the order of the schema and appends
//! the noted values to their builders, each copied once. A list is noted as a whole and gone through in the second step;
//! its elements use the slots below it, one after the other.
//!
//! What must stay true: a record that is no JSON leaves no trace in the builders; any other appends exactly one row.

mod cursor;
mod shape;
mod unescape;

use std::borrow::Cow;

use self::cursor::{Cursor, Flaw, Form, Slot};
use self::shape::Shape;
use self::unescape::unescape;
use super::Limits;
use super::builder::{Builder, Lists};
use super::columns::Columns;
use super::fault::{Fault, abbreviated};
use super::format::{Appended, FormatSpec, InFiles, Record, RecordReader};
use crate::reject::Reason;
use crate::schema::Schema;

pub(super) const FORMAT: FormatSpec = FormatSpec {
    word: "json",
    keys: &["registry"],
    in_files: Ok(InFiles::Lines),
    in_messages: Ok(()),
    schema: None,
    reader: |options| Ok(Box::new(JsonReader::new(&options.schema, options.limits))),
};

/// Reads JSON records of one schema.
pub(super) struct JsonReader {
    shape: Shape,
    /// Where the values of the current record stand, one slot for each node of the shape.
    slots: Vec<Slot>,
    /// A key, once its escapes are resolved.
    key: String,
    /// Values that lists of the current record came to.
    values: usize,
    limits: Limits,
}

impl RecordReader for JsonReader {
    fn record(&mut self, record: Record<'_>, columns: &mut Columns) -> Result<Appended, Box<Fault>> {
        let text = record.payload.text()?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        self.note(text)?;
        self.values = 0;
        let mut node = 1;
        let result = columns.append(|_, builder| {
            let this = node;
            node = self.shape.nodes[this].end;
            self.append(text, this, builder).map_err(|fault| fault.in_field(&self.shape.nodes[this].name))
        });
        Ok(Appended { values: self.values, result })
    }
}

impl JsonReader {
    fn new(schema: &Schema, limits: Limits) -> Self {
        let shape = Shape::new(schema);
        let slots = vec![Slot::default(); shape.nodes.len()];
        JsonReader { shape, slots, key: String::new(), values: 0, limits }
    }

    /// The first step: is it JSON, is it an object, and where in it stands what.
    fn note(&mut self, text: &str) -> Result<(), Box<Fault>> {
        self.forget(0);
        let mut cursor = Cursor::new(text, self.limits.depth);
        cursor.space();
        if cursor.at_end() {
            return Err(Fault::new(Reason::Decode, "an empty message is no record"));
        }
        let record = self.value(&mut cursor, text, 0, 0).and_then(|record| {
            cursor.space();
            if cursor.at_end() { Ok(record) } else { Err(cursor.flaw("something follows the record")) }
        });
        match record.map_err(|flaw| no_json(text, &flaw))? {
            Slot { form: Form::Object, .. } => Ok(()),
            other => Err(Fault::type_of("a record in braces", &describe(text, other))),
        }
    }

    /// Forgets what was noted for a node and all below it.
    fn forget(&mut self, node: usize) {
        self.slots[node..self.shape.nodes[node].end].fill(Slot::default());
    }

    /// Goes past a value that is for `node`, and notes what is below it.
    fn value(&mut self, cursor: &mut Cursor<'_>, text: &str, node: usize, depth: usize) -> Result<Slot, Flaw> {
        if cursor.peek() != b'{' || self.shape.nodes[node].keys.is_none() {
            return cursor.value(depth);
        }
        let start = cursor.position();
        cursor.allow(depth + 1)?;
        cursor.step();
        cursor.space();
        if !cursor.eat(b'}') {
            self.members(cursor, text, node, depth + 1)?;
        }
        Ok(cursor.slot(start, Form::Object))
    }

    fn members(&mut self, cursor: &mut Cursor<'_>, text: &str, node: usize, depth: usize) -> Result<(), Flaw> {
        let mut last = 0;
        loop {
            let child = self.key(cursor, text, node, &mut last)?;
            cursor.colon()?;
            match child {
                Some(child) => self.member(cursor, text, child, depth)?,
                None => cursor.value(depth).map(drop)?,
            }
            if !cursor.another(b'}')? {
                return Ok(());
            }
        }
    }

    fn member(&mut self, cursor: &mut Cursor<'_>, text: &str, child: usize, depth: usize) -> Result<(), Flaw> {
        if self.slots[child].form != Form::Absent {
            // The key came before: the last whole value counts, so nothing of the first may shine through.
            self.forget(child);
        }
        self.slots[child] = self.value(cursor, text, child, depth)?;
        Ok(())
    }

    /// Goes past a key; the node that it leads to, if the schema knows it.
    fn key(
        &mut self,
        cursor: &mut Cursor<'_>,
        text: &str,
        node: usize,
        last: &mut usize,
    ) -> Result<Option<usize>, Flaw> {
        let Some(keys) = &mut self.shape.nodes[node].keys else { return cursor.key().map(|_| None) };
        let start = cursor.position();
        if cursor.eat(b'"') {
            if let Some((quoted, field)) = keys.likely(*last)
                && cursor.eat_all(quoted)
            {
                *last = field + 1;
                return Ok(Some(keys.node(field)));
            }
            cursor.back_to(start);
        }
        let slot = cursor.key()?;
        let field = keys.find(plain(text, slot, &mut self.key).as_bytes(), *last);
        *last = field.map_or(*last, |field| field + 1);
        Ok(field.map(|field| keys.node(field)))
    }

    /// The second step: appends the value noted for `node`, or a zero if there is a fault in it.
    fn append(&mut self, text: &str, node: usize, builder: &mut Builder) -> Result<(), Box<Fault>> {
        let slot = self.slots[node];
        let fits = match (slot.form, &mut *builder) {
            (Form::Absent | Form::Null, _) => return self.append_nothing(node, slot.form, builder),
            (Form::Object, Builder::Struct(structs)) => {
                let mut child = node + 1;
                return structs.append(|_, builder| {
                    let this = child;
                    child = self.shape.nodes[this].end;
                    self.append(text, this, builder).map_err(|fault| fault.in_field(&self.shape.nodes[this].name))
                });
            }
            (Form::Array, Builder::List(lists)) => return self.append_list(text, node, lists),
            (Form::Plain, builder) => builder.append_text(content(text, slot)),
            (Form::Escaped, Builder::String(values)) => {
                // Writing to a builder cannot fail, and the value that ends here is what was written.
                let written = unescape(content(text, slot), values).is_ok();
                values.append_value("");
                written
            }
            (Form::Escaped, builder) => builder.append_text(plain(text, slot, &mut self.key)),
            (Form::Integer | Form::Fraction, builder) => builder.append_number(content(text, slot)),
            (Form::True | Form::False, builder) => builder.append_bool(slot.form == Form::True),
            (Form::Object | Form::Array, builder) => {
                builder.append_zero();
                false
            }
        };
        if fits { Ok(()) } else { Err(Fault::type_of(&builder.name(), &describe(text, slot))) }
    }

    fn append_nothing(&self, node: usize, form: Form, builder: &mut Builder) -> Result<(), Box<Fault>> {
        let node = &self.shape.nodes[node];
        if !node.required {
            builder.append_null();
            return Ok(());
        }
        builder.append_zero();
        Err(match (form, &node.missing) {
            (Form::Null, _) => Fault::null(),
            (_, None) => Fault::missing(),
            (_, Some(leaf)) => Fault::missing().in_field(leaf),
        })
    }

    fn append_list(&mut self, text: &str, node: usize, lists: &mut Lists) -> Result<(), Box<Fault>> {
        let mut cursor = Cursor::again(text, self.slots[node].start as usize + 1);
        cursor.space();
        let mut result = Ok(());
        if !cursor.eat(b']') {
            for index in 0.. {
                result = self.append_element(&mut cursor, text, node + 1, lists).map_err(|f| f.in_element(index));
                if result.is_err() || !cursor.another(b']').map_err(|flaw| no_json(text, &flaw))? {
                    break;
                }
            }
        }
        lists.close(true);
        result
    }

    fn append_element(
        &mut self,
        cursor: &mut Cursor<'_>,
        text: &str,
        element: usize,
        lists: &mut Lists,
    ) -> Result<(), Box<Fault>> {
        self.forget(element);
        self.slots[element] = self.value(cursor, text, element, 0).map_err(|flaw| no_json(text, &flaw))?;
        self.values += self.shape.nodes[element].end - element;
        if self.values > self.limits.record_bytes {
            // `[{},{},{}…` makes a row of many columns out of each three bytes.
            return Err(Fault::new(Reason::TooLarge, format!("its lists come to more than {} values", self.values)));
        }
        lists.count();
        self.append(text, element, &mut lists.element)
    }
}

fn content(text: &str, slot: Slot) -> &str {
    text.get(slot.start as usize..slot.end as usize).unwrap_or("")
}

/// A string without its escapes; `scratch` holds it if there are any.
fn plain<'a>(text: &'a str, slot: Slot, scratch: &'a mut String) -> &'a str {
    let content = content(text, slot);
    if slot.form != Form::Escaped {
        return content;
    }
    scratch.clear();
    // Writing to a string cannot fail.
    let _ = unescape(content, scratch);
    scratch
}

/// A value as a message calls it.
fn describe(text: &str, slot: Slot) -> String {
    let content = || abbreviated(content(text, slot));
    match slot.form {
        Form::Absent => "nothing".into(),
        Form::Null => "null".into(),
        Form::True | Form::False => format!("bool {}", content()),
        Form::Integer | Form::Fraction => format!("number {}", content()),
        Form::Plain | Form::Escaped => format!("string \"{}\"", content()),
        Form::Object => "object".into(),
        Form::Array => "list".into(),
    }
}

#[cold]
fn no_json(text: &str, flaw: &Flaw) -> Box<Fault> {
    let message: Cow<'static, str> = if text.as_bytes().iter().take(2).any(|byte| *byte == 0) {
        "looks like UTF-16, only UTF-8 is read".into()
    } else {
        format!("not JSON at byte {}: {}", flaw.at, flaw.what).into()
    };
    Fault::new(Reason::Decode, message)
}
