//! Plans as they were made, with the rows of what each held.

use rusqlite::{OptionalExtension, params};

use super::{Result, Store, row};
use crate::domain::plan::{Held, Plan};

impl Store {
    /// Stores a plan and everything it holds. A plan of the same id is the same plan and stays.
    pub fn save_plan(&self, plan: &Plan, held: &[Held]) -> Result<()> {
        self.write(format_args!("storing plan {}", plan.id), |transaction| {
            let inserted = transaction
                .prepare_cached(
                    "INSERT INTO plan (id, created_at, doc) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING",
                )?
                .execute(params![plan.id, row::micros(plan.created_at), row::to_json("plan", plan)?])?;
            if inserted == 0 {
                return Ok(());
            }
            let mut insert =
                transaction.prepare_cached("INSERT INTO plan_held (plan, seq, code, doc) VALUES (?1, ?2, ?3, ?4)")?;
            for (index, item) in held.iter().enumerate() {
                insert.execute(params![plan.id, index as i64, item.code.word(), row::to_json("held row", item)?])?;
            }
            Ok(())
        })
    }

    /// One plan.
    pub fn plan(&self, id: &str) -> Result<Option<Plan>> {
        self.read(format_args!("reading plan {id:?}"), |connection| {
            let doc: Option<String> = connection
                .prepare_cached("SELECT doc FROM plan WHERE id = ?1")?
                .query_row([id], |row| row.get(0))
                .optional()?;
            doc.map(|doc| row::from_json("plan", &doc)).transpose()
        })
    }

    /// What a plan held, in its order; of one reason alone when `code` names it.
    pub fn held(&self, plan: &str, code: Option<&str>) -> Result<Vec<Held>> {
        self.read(format_args!("reading what plan {plan:?} held"), |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT doc FROM plan_held WHERE plan = ?1 AND (?2 IS NULL OR code = ?2) ORDER BY seq",
            )?;
            let mut rows = statement.query(params![plan, code])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(row::from_json("held row", &row.get::<_, String>(0)?)?);
            }
            Ok(found)
        })
    }
}
