{#- The natural keys of the business, each in one place. A telephone number keeps its hyphens: with
    one such column among escaped ones, the joined text can still be read one way only. -#}

{% macro transaction_key() -%}
    {{ surrogate_key(
        [
            'customer_first_name', 'customer_last_name', 'customer_email', 'customer_phone',
            'product_name', 'transaction_date',
        ],
        verbatim=['customer_phone', 'transaction_date'],
    ) }}
{%- endmacro %}

{% macro customer_key() -%}
    {{ surrogate_key(
        ['customer_first_name', 'customer_last_name', 'customer_email', 'customer_phone'],
        verbatim=['customer_phone'],
    ) }}
{%- endmacro %}

{% macro product_key() -%}
    {{ surrogate_key(['product_name']) }}
{%- endmacro %}

{% macro location_key() -%}
    {{ surrogate_key(['customer_city', 'customer_country']) }}
{%- endmacro %}
