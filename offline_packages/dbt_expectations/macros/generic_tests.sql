{% test expect_table_row_count_to_equal_other_table(model, compare_model, row_condition=none, compare_row_condition=none) %}
    with

    counted as (
        select
            (
                select count(*) from {{ model }}
                {%- if row_condition %} where {{ row_condition }}{% endif %}
            ) as rows_here,
            (
                select count(*) from {{ compare_model }}
                {%- if compare_row_condition %} where {{ compare_row_condition }}{% endif %}
            ) as rows_there
    )

    select *
    from counted
    where rows_here <> rows_there
{% endtest %}

{% test expect_column_values_to_match_regex(model, column_name, regex, row_condition=none) %}
    select {{ column_name }}
    from {{ model }}
    where
        regexp_instr({{ column_name }}, '{{ regex }}') = 0
        {%- if row_condition %}
            and {{ row_condition }}
        {%- endif %}
{% endtest %}

{% test expect_column_values_to_be_between(model, column_name, min_value=none, max_value=none, row_condition=none, strictly=false) %}
    {%- set or_equal = '' if strictly else '=' %}
    select {{ column_name }}
    from {{ model }}
    where
        not (
            true
            {%- if min_value is not none %}
                and {{ column_name }} >{{ or_equal }} {{ min_value }}
            {%- endif %}
            {%- if max_value is not none %}
                and {{ column_name }} <{{ or_equal }} {{ max_value }}
            {%- endif %}
        )
        {%- if row_condition %}
            and {{ row_condition }}
        {%- endif %}
{% endtest %}
