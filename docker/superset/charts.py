"""Charts and the dashboard of plant.json, as Superset wants them.

A chart is stored twice: as what its form shows (params), and as the question
that goes with it (query_context), which is what alerts, reports and
/api/v1/chart/N/data/ ask.  Both are made from the same few members here.

Copyright (c) 2026, factorymon contributors; PostgreSQL License
"""

import json

WIDTH = 12
OPERATORS = {"==": "EQUALS", "!=": "NOT_EQUALS", "IN": "IN",
             "TEMPORAL_RANGE": "TEMPORAL_RANGE"}


def metric(label, sql):
    """A figure that is computed by an expression."""
    return {"expressionType": "SQL", "sqlExpression": sql, "label": label,
            "optionName": "metric_" + label.replace(" ", "_")}


def conditions(chart):
    """What restricts the rows: column, operator, value."""
    found = [list(condition) for condition in chart.get("filters", [])]
    if "time" in chart:
        column, _, time_range = chart["time"]
        found.append([column, "TEMPORAL_RANGE", time_range])
    return found


def form_of(chart, dataset):
    """What the chart's form shows."""
    metrics = [metric(*each) for each in chart.get("metrics", [])]
    form = {
        "datasource": f"{dataset}__table",
        "viz_type": chart["viz"],
        "adhoc_filters": [
            {"clause": "WHERE", "expressionType": "SIMPLE", "subject": column,
             "operator": operator, "operatorId": OPERATORS[operator],
             "comparator": value}
            for column, operator, value in conditions(chart)],
        **chart["form"]}
    if chart["viz"] == "table":
        form |= {"query_mode": "raw", "all_columns": chart["columns"],
                 "order_by_cols": [json.dumps(each) for each in chart["order"]]}
    elif "time" in chart:
        form |= {"x_axis": chart["time"][0], "time_grain_sqla": chart["time"][1],
                 "groupby": chart["columns"], "metrics": metrics}
    else:
        form["metric"] = metrics[0]
    if "row_limit" in chart:
        form["row_limit"] = chart["row_limit"]
    return form


def question_of(chart, dataset, form):
    """The question that the chart asks."""
    columns = list(chart.get("columns", []))
    extras = {"having": "", "where": ""}
    if "time" in chart:
        column, grain, _ = chart["time"]
        columns.insert(0, {"timeGrain": grain, "columnType": "BASE_AXIS",
                           "sqlExpression": column, "label": column,
                           "expressionType": "SQL"})
        extras["time_grain_sqla"] = grain
    query = {
        "columns": columns,
        "filters": [{"col": column, "op": operator, "val": value}
                    for column, operator, value in conditions(chart)],
        "extras": extras,
        "orderby": chart.get("order", []),
        "row_limit": chart.get("row_limit", 10000)}
    if "metrics" in chart:
        query["metrics"] = [metric(*each) for each in chart["metrics"]]
    return {"datasource": {"id": dataset, "type": "table"}, "force": False,
            "queries": [query], "form_data": form,
            "result_format": "json", "result_type": "full"}


def chart_body(chart, dataset):
    """A chart, as the API takes it."""
    form = form_of(chart, dataset)
    return {
        "slice_name": chart["name"],
        "description": chart["description"],
        "viz_type": chart["viz"],
        "params": json.dumps(form),
        "query_context": json.dumps(question_of(chart, dataset, form)),
    }


def layout(content, numbers):
    """Where the charts are: rows of the grid, twelve columns wide."""
    rows = [f"ROW-{i}" for i in range(len(content["rows"]))]
    tree = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"id": "ROOT_ID", "type": "ROOT", "children": ["GRID_ID"]},
        "GRID_ID": {"id": "GRID_ID", "type": "GRID", "children": rows,
                    "parents": ["ROOT_ID"]},
        "HEADER_ID": {"id": "HEADER_ID", "type": "HEADER",
                      "meta": {"text": content["title"]}},
    }
    for row_id, row in zip(rows, content["rows"]):
        assert sum(chart["width"] for chart in row["charts"]) == WIDTH
        ids = [f"CHART-{numbers[chart['name']]}" for chart in row["charts"]]
        tree[row_id] = {"id": row_id, "type": "ROW", "children": ids,
                        "parents": ["ROOT_ID", "GRID_ID"],
                        "meta": {"background": "BACKGROUND_TRANSPARENT"}}
        for chart_id, chart in zip(ids, row["charts"]):
            tree[chart_id] = {
                "id": chart_id, "type": "CHART", "children": [],
                "parents": ["ROOT_ID", "GRID_ID", row_id],
                "meta": {"chartId": numbers[chart["name"]],
                         "sliceName": chart["name"],
                         "width": chart["width"], "height": row["height"]}}
    return tree


def dashboard_body(content, numbers):
    """The dashboard, as the API takes it."""
    return {
        "dashboard_title": content["title"],
        "slug": content["slug"],
        "published": True,
        "position_json": json.dumps(layout(content, numbers)),
        "json_metadata": json.dumps({
            "refresh_frequency": content["refresh_seconds"],
            "label_colors": content["colors"],
        }),
    }
