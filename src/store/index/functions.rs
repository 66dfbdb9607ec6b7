//! The SQL functions that v_sample and v_histogram need. Scalar ones, joined with the hosts of a block
//! by (chunk, slot): `WHERE host = …` then decodes one slot of each block, and no table-valued function
//! (which rusqlite only offers through unsafe traits) is needed.

use std::sync::Mutex;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{Null, ToSqlOutput, Value};
use rusqlite::{Connection, Result};

use super::block::Block;
use super::{histogram, numbers};

pub(super) fn register(conn: &Connection) -> Result<()> {
    // Innocuous: no side effects, so a schema that is not trusted may use them too.
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    let cache = Mutex::new(LastBlock::default());
    conn.create_scalar_function("block_value", 2, flags, move |ctx| block_value(ctx, &cache))?;
    conn.create_scalar_function("stage_value", 2, flags, stage_value)?;
    conn.create_scalar_function("stage_series", 1, flags, stage_series)?;
    conn.create_scalar_function("buckets_json", 1, flags, buckets_json)
}

/// The block decoded last: a scan asks for up to a thousand slots of one after the other.
#[derive(Default)]
struct LastBlock {
    blob: Vec<u8>,
    block: Option<Block>,
}

type Answer = ToSqlOutput<'static>;

fn answer(value: Option<impl Into<Value>>) -> Result<Answer> {
    Ok(match value {
        Some(value) => ToSqlOutput::Owned(value.into()),
        None => ToSqlOutput::from(Null),
    })
}

fn broken(what: &'static str) -> rusqlite::Error {
    rusqlite::Error::UserFunctionError(format!("{what}; `dropsonde reindex` rebuilds the index").into())
}

/// `block_value(data, slot)`: the slot's value, NULL when the host has none.
fn block_value(ctx: &Context<'_>, cache: &Mutex<LastBlock>) -> Result<Answer> {
    let blob = ctx.get_raw(0).as_blob().map_err(|_| broken("a block is no blob"))?;
    let Ok(slot) = u32::try_from(ctx.get::<i64>(1)?) else { return answer(None::<f64>) };
    let mut last = cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if last.block.is_none() || last.blob != blob {
        last.block = Some(Block::decode(blob).ok_or_else(|| broken("a block does not decode"))?);
        last.blob.clear();
        last.blob.extend_from_slice(blob);
    }
    answer(last.block.as_ref().and_then(|block| block.get(slot)))
}

/// `stage_series(data)`: the series ids as a JSON array, for json_each.
fn stage_series(ctx: &Context<'_>) -> Result<Answer> {
    let ids = ctx.get_raw(0).as_blob().ok().and_then(numbers::series);
    let ids = ids.ok_or_else(|| broken("staged samples do not decode"))?;
    answer(serde_json::to_string(&ids).ok())
}

/// `stage_value(data, rank)`: the value of the rank-th of them.
fn stage_value(ctx: &Context<'_>) -> Result<Answer> {
    let blob = ctx.get_raw(0).as_blob().map_err(|_| broken("staged samples are no blob"))?;
    let rank = usize::try_from(ctx.get::<i64>(1)?).unwrap_or(usize::MAX);
    answer(numbers::value(blob, rank))
}

/// `buckets_json(buckets)`: `[[lo,hi,n],…]`.
fn buckets_json(ctx: &Context<'_>) -> Result<Answer> {
    let buckets = ctx.get_raw(0).as_blob().ok().and_then(histogram::decode);
    let buckets = buckets.ok_or_else(|| broken("a histogram's buckets do not decode"))?;
    answer(Some(histogram::to_json(&buckets)))
}
