{% test unique_combination_of_columns(model, combination_of_columns, quote_columns=false) %}
    {%- set columns = combination_of_columns | join(', ') if not quote_columns
        else '"' ~ combination_of_columns | join('", "') ~ '"' -%}
    select {{ columns }}
    from {{ model }}
    group by {{ columns }}
    having count(*) > 1
{% endtest %}

{% test expression_is_true(model, expression, column_name=none) %}
    select 1
    from {{ model }}
    where not ({{ column_name or '' }} {{ expression }})
{% endtest %}
