{#-
    `word_to_number(expression)`: a SQL text expression to exact numeric; NULL for what is not a number.

    How it works. No subquery is used: Citus does not push down `offset` in one that refers to a
    column, and without `offset` PostgreSQL would compute the normalised text wherever it is used.
    So number words go through one chain in which every step uses the step before once:

        nine hundred and ninety-nine thousand, six
        T#I X & IY-#I K, #F                 every word becomes a code, one or two characters
        (the same, or NULL)                 the grammar, one regular expression over the codes
        ((9e2+99)*1e3+(6))                  the codes become a sum
        999006                              jsonpath is the calculator: exact, immutable

    Codes are capital letters (and # @), and the text is in lower case: nothing in it passes for a
    code. What is not in the vocabulary stays as it is, and the grammar does not let it pass.
    Everything is collated "C": the answer does not depend on the locale of the database.
-#}

{% macro word_to_number(expression) -%}
    {%- set text -%} ({{ expression }})::text collate "C" {%- endset -%}
    case
        when length({{ text }}) > 1000 then null
        when {{ text }} ~ '^[-+]?[0-9]+([.][0-9]+)?$' then ({{ expression }})::text::numeric
        when {{ text }} ~ '[A-Za-z][A-Za-z]' then {{ numeric_from_words(text) }}
        else {{ numeric_from_digits(text) }}
    end
{%- endmacro %}


{% macro numeric_from_digits(text) -%}
    {%- set plain = '(?:[0-9]+(?:[.][0-9]*)?|[.][0-9]+)(?:[eE][-+]?0*[0-9]{1,3})?' -%}
    {%- set grouped = '[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:[.][0-9]*)?' -%}
    {%- set number = '(?:' ~ plain ~ '|' ~ grouped ~ ')' -%}
    {%- set symbol = '[$€£] ?' -%}
    {%- set sign = '[-+−] ?' -%}
    {%- set signed = '(?:(?:' ~ sign ~ ')?(?:' ~ symbol ~ ')?|' ~ symbol ~ sign ~ ')' ~ number ~ '(?: ?[$€£])?' -%}
    {%- set accounting = '(?:' ~ symbol ~ ')?[(](?:' ~ symbol ~ ')?' ~ number ~ '[)]' -%}
    translate(
        substring(
            btrim({{ text }}, E' \t\n\r\f\v\u00a0')
            from '^(?:{{ signed }}|{{ accounting }})$'
        ),
        '(−$€£ ,+)', '--'
    )::numeric
{%- endmacro %}


{% macro numeric_from_words(text) -%}
    {%- set white_space = [
        ('\\t', ' '), ('\\n', ' '), ('\\r', ' '), ('\\f', ' '), ('\\v', ' '), ('\\u00a0', ' '),
        (' ', 'XY'), ('YX', ''), ('XY', ' '),
    ] -%}
    {#- Longer words come before those they contain. -#}
    {%- set vocabulary = [
        ('one half', 'V'), ('half', 'V'), ('hundred', 'X'), ('thousand', 'K'), ('million', 'M'),
        ('billion', 'N'), ('trillion', 'O'), ('quadrillion', 'P'), ('quintillion', 'Q'),
        ('ten', '@Z'), ('eleven', '@A'), ('twelve', '@B'), ('thirteen', '@C'), ('fourteen', '@D'),
        ('fifteen', '@E'), ('sixteen', '@F'), ('seventeen', '@G'), ('eighteen', '@H'), ('nineteen', '@I'),
        ('twenty', 'BY'), ('thirty', 'CY'), ('forty', 'DY'), ('fourty', 'DY'), ('fifty', 'EY'),
        ('sixty', 'FY'), ('seventy', 'GY'), ('eighty', 'HY'), ('ninety', 'IY'),
        ('zero', '#Z'), ('one', '#A'), ('two', '#B'), ('three', '#C'), ('four', '#D'), ('five', '#E'),
        ('six', '#F'), ('seven', '#G'), ('eight', '#H'), ('nine', '#I'),
        ('and', '&'), ('point', 'R'),
        ('dollar', 'J'), ('euro', 'J'), ('pound', 'J'), ('cent', 'U'), ('pence', 'U'), ('penny', 'U'),
        ('usd', 'S'), ('eur', 'S'), ('gbp', 'S'), ('$', 'S'), ('€', 'S'), ('£', 'S'),
        ('Tminus ', 'T-'), ('Tnegative ', 'T-'), ('Tplus ', 'T+'), ('T−', 'T-'),
        ('T-', 'WT'), ('T+', '+T'), ('TS', 'ST'), ('T-', 'WT'), ('T ', 'T'), ('TX', 'Ta X'),
    ] -%}
    {%- set arithmetic = [
        ('Y-#', ''), ('Y #', ''), (' 0', ' '), ('V', '.5'), ('X', 'e2+'),
        ('K', ')*1e3+('), ('M', ')*1e6+('), ('N', ')*1e9+('), ('O', ')*1e12+('), ('P', ')*1e15+('),
        ('Q', ')*1e18+('), ('J', ')+('), ('U', ')*0.01+('), ('T', '(('),
    ] -%}
    {%- set repairs = [('+()', ''), ('+)', ')'), ('()', '1'), ('(e2', '(1e2')] -%}
    jsonb_path_query_first('0', {{ replace_each(
        'translate(' ~ replace_each(
            'substring(' ~ replace_each(
                "'T' || btrim(" ~ replace_each('lower(' ~ text ~ ')', white_space) ~ ')', vocabulary
            ) ~ " from '" ~ number_word_grammar() ~ "')",
            arithmetic
        ) ~ ", 'ABCDEFGHIZYR@W -,&#Sanos', '12345678900.1-') || '))'",
        repairs
    ) }}::jsonpath)::numeric
{%- endmacro %}


{% macro number_word_grammar() -%}
    {#- The text has single spaces; T is its start. -#}
    {%- set below_100 = '(?:[B-I]Y(?:[ -]#[A-I])?|#[A-I]|@[A-IZ]|[1-9][0-9]?)' -%}
    {%- set to_remainder = '[ -](?:&[ -])?' -%}
    {%- set remainder = '(?:' ~ to_remainder ~ below_100 ~ ')?' -%}
    {%- set hundreds = '(?:#[A-I]|[1-9]|an?)[ -]X' -%}
    {%- set many_hundreds = '(?:' ~ below_100 ~ '|an?)[ -]X' -%}
    {%- set below_1000 = '(?:' ~ hundreds ~ remainder ~ '|' ~ below_100 ~ '|[1-9][0-9][0-9])' -%}
    {%- set point = 'R(?: #[A-IZ])+' -%}
    {%- set half = '(?:an? )?V' -%}
    {%- set separator = '(?:T|(?: ?, ?| |-)(?:&[ -])?)' -%}
    {%- set literal = '(?:(?:0|[1-9][0-9]*|[1-9][0-9]{0,2}(?:,[0-9]{3})+)(?:[.][0-9]+)?|[.][0-9]+)' -%}
    {%- set part = '(?:' ~ separator ~ below_1000 ~ '[ -]|T(?:an?[ -])?)' -%}
    {%- set fraction = '(?:(?:(?:#Z|' ~ below_1000 ~ ') )?' ~ point
        ~ '|(?:' ~ hundreds ~ to_remainder ~ ')?' ~ below_100 ~ ' & ' ~ half
        ~ '|' ~ half ~ '(?: an?(?= [JKMNOPQ]))?)' -%}
    {%- set cents = '(?:#Z|0[1-9]|' ~ below_100 ~ ')[ -]Us?' -%}
    ^(?:[W+]?S?|S[W+])(?:
    {%- for scale in 'QPONM' %}(?:{{ part }}{{ scale }})?{% endfor -%}
    (?:{{ part }}K(?:{{ separator }}{{ below_1000 }})?|{{ separator }}(?:{{ many_hundreds }}{{ remainder }}|{{ below_1000 }}))?(?: {{ point }})?
    {#- -#}
    |T(?:#Z|(?:{{ fraction }}|{{ literal }})(?:[ -][KMNOPQ])?|{{ literal }}[ -]X|an?(?= [JU]))
    {#- -#}
    )(?:[ -]Jo?s?(?:(?: ?, ?| )(?:& )?{{ cents }})?| ?S|[ -]Us?)?$
{%- endmacro %}


{% macro replace_each(expression, pairs) -%}
    {%- for pair in pairs %}replace({% endfor -%}
    {{ expression }}
    {%- for from, to in pairs %}, E'{{ from }}', '{{ to }}'){% endfor -%}
{%- endmacro %}
