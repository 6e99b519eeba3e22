//! Checks JSON against the schemas of `docs/openapi.json`: the keywords that the document uses.

use serde_json::Value;

/// The document.
pub(crate) fn document() -> Value {
    serde_json::from_str(include_str!("../../docs/openapi.json")).unwrap()
}

/// The schema of the ordinary answer of an operation.
pub(crate) fn answer_schema<'d>(document: &'d Value, method: &str, path: &str) -> &'d Value {
    let operation = &document["paths"][path][method];
    assert!(operation.is_object(), "{method} {path} is not documented");
    &operation["responses"]["200"]["content"]["application/json"]["schema"]
}

/// Fails unless the value has the shape of the schema; `at` names the value.
pub(crate) fn expect_shape(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Err(why) = check(document, schema, value, at) {
        panic!("{why}\nin {value}");
    }
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.strip_prefix('#').unwrap());
        let target = target.ok_or_else(|| format!("{at}: no {reference}"))?;
        return check(document, target, value, at);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let fits = |one: &Value| check(document, one, value, at).is_ok();
        return any
            .iter()
            .any(fits)
            .then_some(())
            .ok_or_else(|| format!("{at}: fits none"));
    }
    let kinds = match &schema["type"] {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return Err(format!("{at}: the schema has no type")),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !kinds.contains(&kind) {
        return Err(format!("{at}: {kind} in place of {kinds:?}"));
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        return Err(format!("{at}: none of {words:?}"));
    }
    for (index, element) in value.as_array().into_iter().flatten().enumerate() {
        check(
            document,
            &schema["items"],
            element,
            &format!("{at}[{index}]"),
        )?;
    }
    let (Some(object), Some(properties)) = (value.as_object(), schema["properties"].as_object())
    else {
        return Ok(());
    };
    for name in schema["required"].as_array().into_iter().flatten() {
        if !object.contains_key(name.as_str().unwrap()) {
            return Err(format!("{at}: {name} is missing"));
        }
    }
    for (name, value) in object {
        let at = format!("{at}.{name}");
        let property = properties
            .get(name)
            .ok_or_else(|| format!("{at} is not documented"))?;
        check(document, property, value, &at)?;
    }
    Ok(())
}

#[test]
fn a_wrong_shape_is_noticed() {
    let document = document();
    let page = answer_schema(&document, "get", "/v1/sessions");
    let right = serde_json::json!({"sessions": [], "cursor": null});
    assert_eq!(check(&document, page, &right, "page"), Ok(()));
    for (wrong, why) in [
        (serde_json::json!({"sessions": []}), "\"cursor\" is missing"),
        (
            serde_json::json!({"sessions": {}, "cursor": null}),
            "page.sessions: object",
        ),
        (
            serde_json::json!({"sessions": [], "cursor": 1}),
            "page.cursor: integer",
        ),
        (
            serde_json::json!({"sessions": [], "cursor": null, "x": 1}),
            "page.x is not documented",
        ),
        (
            serde_json::json!({"sessions": [{}], "cursor": null}),
            "page.sessions[0]: ",
        ),
    ] {
        let error = check(&document, page, &wrong, "page").unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}
