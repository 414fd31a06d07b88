{% macro parse_date(expression) -%}
    {#- `to_date` accepts dates that do not exist and a cast raises an error on them, so the three
        numbers are taken out by position and checked against the calendar first. -#}
    {%- set clock = '([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]' -%}
    (
        select
            case
                when
                    ymd[1] between 1 and 9999
                    and ymd[2] between 1 and 12
                    and ymd[3] between 1 and case
                        when ymd[2] in (4, 6, 9, 11) then 30
                        when ymd[2] <> 2 then 31
                        when ymd[1] % 4 = 0 and (ymd[1] % 100 <> 0 or ymd[1] % 400 = 0) then 29
                        else 28
                    end
                    then make_date(ymd[1], ymd[2], ymd[3])
            end
        from (
            select
                case
                    when given ~ '^[0-9]{4}([-/])[0-9]{2}\1[0-9]{2}$|^[0-9]{4}-[0-9]{2}-[0-9]{2} {{ clock }}$'
                        then array[substr(given, 1, 4), substr(given, 6, 2), substr(given, 9, 2)]::integer[]
                    when given ~ '^[0-9]{2}([-/])[0-9]{2}\1[0-9]{4}$'
                        then array[substr(given, 7, 4), substr(given, 4, 2), substr(given, 1, 2)]::integer[]
                    -- Two digits of a year: POSIX's window, 1969 to 2068.
                    when given ~ '^[0-9]{2}-[0-9]{2}-[0-9]{2}$'
                        then array[
                            substr(given, 7, 2)::integer
                            + case when substr(given, 7, 2) >= '69' then 1900 else 2000 end,
                            substr(given, 4, 2)::integer,
                            substr(given, 1, 2)::integer
                        ]
                end as ymd
            from (select {{ expression }} as given) as input
            offset 0
        ) as parts
    )
{%- endmacro %}
