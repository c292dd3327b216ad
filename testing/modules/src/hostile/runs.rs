//! What runs and does not end well: time, fuel, memory, tables, stack, traps; in the call and around it.

use super::{Hostile, hostile};
use crate::{NAMED, WIT, component, guest, guest_that, module};

const ENDLESS: &str = "(loop $again (br $again))";
const FUEL: &[&str] = &["FuelExhausted"];
const TIME: &[&str] = &["FuelExhausted", "DeadlineExceeded"];
const MEMORY: &[&str] = &["MemoryLimit"];
const TRAP: &[&str] = &["Trap"];

pub(super) fn runs() -> Vec<Hostile> {
    let answer = format!("{NAMED} (i32.const 1024)");
    let started = |start: &str| guest(&format!("(func $start {start}) (start $start)"), &answer);
    let changed = |from: &str, to: &str| {
        let text = module("", &answer);
        assert!(text.contains(from), "{from}");
        component(WIT, "policy", &text.replace(from, to))
    };
    let after = |body: &str| {
        let export = "(export \"cabi_post_mobb:ecr-policy/decide@1.0.0#evaluate\")";
        guest(&format!("(func {export} (param i32) {body})"), &answer)
    };
    let recursion = "(func $down (param i32) (result i32)
        (i32.add (call $down (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))";
    let by_table = "(type $t (func (param i32) (result i32))) (table 1 funcref) (elem (i32.const 0) $down)
        (func $down (type $t) (i32.add (call_indirect (type $t) (local.get 0) (i32.const 0)) (i32.const 1)))";
    let down = format!("(drop (call $down (i32.const 0))) {answer}");
    vec![
        hostile("an endless loop", guest_that(ENDLESS), FUEL),
        hostile(
            "an endless loop that fills much memory for little fuel",
            guest_that(
                "(drop (memory.grow (i32.const 200)))
                 (loop $again (memory.fill (i32.const 65536) (i32.const 0) (i32.const 13000000)) (br $again))",
            ),
            TIME,
        ),
        hostile("an endless loop before it starts", started(ENDLESS), FUEL),
        hostile("an endless loop in its allocator", changed("(local $at i32)", "(local $at i32) (loop $again (br $again))"), FUEL),
        hostile("an endless loop after its answer", after(ENDLESS), FUEL),
        hostile("endless recursion", guest(recursion, &down), &["StackExhausted"]),
        hostile("endless recursion through a table", guest(by_table, &down), &["StackExhausted"]),
        hostile("memory without end", guest_that("(loop $again (drop (memory.grow (i32.const 1))) (br $again))"), MEMORY),
        hostile("4 GiB of memory at once", guest_that("(drop (memory.grow (i32.const 65000)))"), MEMORY),
        hostile("memory without end before it starts", started("(loop $again (drop (memory.grow (i32.const 16))) (br $again))"), MEMORY),
        hostile(
            "tables without end",
            guest("(table $t 1 funcref)", &format!("(loop $again (drop (table.grow $t (ref.null func) (i32.const 1000))) (br $again)) {answer}")),
            &["TableLimit"],
        ),
        hostile("it stops itself", guest_that("unreachable"), TRAP),
        hostile("it stops itself before it starts", started("unreachable"), TRAP),
        hostile("it divides by zero", guest_that("(drop (i32.div_u (i32.const 1) (i32.const 0)))"), TRAP),
        hostile("it reads what is not its own", guest_that("(drop (i32.load (i32.const -4)))"), TRAP),
        hostile("it calls what is not there", guest("(type $t (func)) (table 1 funcref)", &format!("(call_indirect (type $t) (i32.const 0)) {answer}")), TRAP),
        hostile("its data lies where no memory is", guest("(data (i32.const 999999) \"x\")", &answer), TRAP),
        hostile("its allocator gives what it does not have", changed("(local.get $at))\n          (func (export \"mobb:ecr-policy/about@1.0.0#describe\")", "(i32.const -65536))\n          (func (export \"mobb:ecr-policy/about@1.0.0#describe\")"), &["Trap", "InvalidResult"]),
    ]
}
