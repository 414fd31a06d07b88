{% macro parse_date(expression) -%}
    {#- Most dates are plain, and of a day that every month has: these are taken by position. Any
        other is brought to eight digits first, and then checked against the calendar, as `to_date`
        accepts dates that do not exist and a cast raises an error on them. -#}
    {%- set given = '(' ~ expression ~ ')' -%}
    {%- set clock = '([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]' -%}
    {%- set multiple_of_four = '0[48]|[2468][048]|[13579][26]' -%}
    case
        when {{ given }} ~ '^[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])$'
            then make_date(
                left({{ given }}, 4)::integer,
                substr({{ given }}, 6, 2)::integer,
                right({{ given }}, 2)::integer
            )
        else substring(
            case
                when {{ given }} ~ '^[0-9]{4}(-[0-9]{2}-[0-9]{2}( {{ clock }})?|/[0-9]{2}/[0-9]{2})$'
                    then translate(left({{ given }}, 10), '-/', '')
                when {{ given }} ~ '^[0-9]{2}(-[0-9]{2}-|/[0-9]{2}/)[0-9]{4}$'
                    then right({{ given }}, 4) || substr({{ given }}, 4, 2) || left({{ given }}, 2)
                -- Two digits of a year: POSIX's window, 1969 to 2068.
                when {{ given }} ~ '^[0-9]{2}-[0-9]{2}-[0-9]{2}$'
                    then case when right({{ given }}, 2) >= '69' then '19' else '20' end
                        || right({{ given }}, 2) || substr({{ given }}, 4, 2) || left({{ given }}, 2)
            end
            from '^(?!0000)(?:'
            || '[0-9]{4}(?:(?:0[1-9]|1[0-2])(?:0[1-9]|1[0-9]|2[0-8])'
            || '|(?:0[13-9]|1[0-2])(?:29|30)|(?:0[13578]|1[02])31)'
            || '|(?:[0-9]{2}(?:{{ multiple_of_four }})|(?:00|{{ multiple_of_four }})00)0229)$'
        )::date
    end
{%- endmacro %}
