{#-
    word_to_number(expression): a SQL text expression to exact numeric; NULL for what is not a number.

    Grammar, in any case and with white space around and between words ([…] is optional):

        digits    = [sign] [currency] number | "(" [currency] number ")"       $1,200.00  (15)  -5  1e3
        words     = [sign] [currency] amount [" dollars" [["," | "and"] cents]] | [sign] part " cents"
        amount    = whole [decimals | "and" half]
                  | (part [decimals | "and" half] | decimals | half ["a"] | number) [scale]
        whole     = "zero" | {part scale [","] ["and"]} [part]
        part      = below 100 | [below 10 | "a"] "hundred" [["and"] below 100]
        decimals  = "point" digit {digit}          half = ["a" | "one"] "half"
        sign      = "minus" | "negative" | "plus" | "-" | "+"
        scale     = "thousand" | "million" | … | "quintillion" (10^18), each smaller than the one before
        currency  = $ € £ USD EUR GBP before; dollars, euros, pounds, USD … after; cents, pence, penny

    A part may be digits: "2 hundred", "5 thousand 200". The first scale may stand alone or after "a":
    "hundred", "a thousand and one". Ten to ninety-nine hundreds make a part that no scale follows, and
    no "thousand" precedes: "thirty-four hundred and fifty". A hyphen is as good as a space between
    words. No more than 1000 characters, exponents up to 999: longer ones are NULL.

    How it is read. Each reader below is one chain in which every step uses the step before once. A
    subquery that names its steps would have to be kept from being flattened, or PostgreSQL computes a
    step again wherever it is used; and `offset 0`, which keeps it, is what Citus does not push down.

    A chain turns words into codes of capital letters and digits. The text is in lower case by then,
    so nothing that it holds passes for a code. Words take the space before them along: what is glued
    to another word, or is no number word, stays behind and makes the result NULL.

    Regular expressions cost most here, in proportion to their size: hence plain `replace` wherever
    it can do the work, and a first reader without any for the most usual numbers.
    Everything is collated "C": the answer does not depend on the locale of the database.
    jsonpath's `.decimal` needs PostgreSQL 17.
-#}

{% macro word_to_number(expression) -%}
    {%- set text = '((' ~ expression ~ ')::text collate "C")' -%}
    case
        when length({{ text }}) > 1000 then null
        when {{ text }} ~ '^[-+]?[0-9]+([.][0-9]+)?$' then {{ text }}::numeric
        else coalesce(
            case when {{ text }} ~ '^[A-Za-z][A-Za-z ,-]*[A-Za-z]$' then {{ number_in_plain_words(text) }} end,
            case
                when {{ text }} ~ '[A-Za-z][A-Za-z]' then {{ number_in_words(text) }}
                else {{ number_in_digits(text) }}
            end
        )
    end
{%- endmacro %}


{% macro number_in_digits(text) -%}
    {#- Currency symbols, groups of three, exponents, accounting parentheses. -#}
    {%- set plain = '(?:[0-9]+(?:[.][0-9]*)?|[.][0-9]+)(?:[eE][-+]?0*[0-9]{1,3})?' -%}
    {%- set grouped = '[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:[.][0-9]*)?' -%}
    {%- set number = '(?:' ~ plain ~ '|' ~ grouped ~ ')' -%}
    {%- set signed = '(?:(?:[-+−] ?)?(?:[$€£] ?)?|[$€£] ?[-+−] ?)' ~ number ~ '(?: ?[$€£])?' -%}
    {%- set accounting = '(?:[$€£] ?)?[(](?:[$€£] ?)?' ~ number ~ '[)]' -%}
    translate(
        substring(
            btrim({{ text }}, E' \t\n\r\f\v\u00a0')
            from '^(?:{{ signed }}|{{ accounting }})$'
        ),
        '(−$€£ ,+)', '--'
    )::numeric
{%- endmacro %}


{% macro number_in_plain_words(text) -%}
    {#- From -999,999,999 to 999,999,999 and from -999,999 with decimals, and nothing but its words.
        What follows "point" is read digit by digit, behind a 1 that keeps its zeros. What the
        look for words misses, like capitals, the general reader reads. -#}
    {%- set decimals = encode_units(replace_each('substr(' ~ text ~ ', strpos(' ~ text ~ ", ' point ') + 6)", [('-', ' ')])) -%}
    case
        when strpos({{ text }}, ' point ') > 0 then (
            {{ whole_number_in_plain_words('split_part(' ~ text ~ ", ' point ', 1)") }}::text
            || '.'
            || substr({{ integer_or_null("'1' || " ~ replace_each(decimals, [(' zero', '0'), ('U', '')]), 1000) }}::text, 2)
        )::numeric
        when strpos({{ text }}, ' million') > 0 then {{ whole_number_in_plain_words(text, millions=true) }}
        else {{ whole_number_in_plain_words(text) }}
    end
{%- endmacro %}


{% macro whole_number_in_plain_words(text, millions=false) -%}
    {#- The zeros are filled in where two codes meet.

            nine hundred and five thousand, sixty-one
            S U9X A U5 K, D6Y U1 Z          start, unit, hundred, and, unit, thousand, tens, unit, end
            905061

        A million is M when its thousands follow, else it brings their zeros. Each part has three
        digits but the first; so a part too many, like a thousand before a million, shows in
        the number of digits. -#}
    {%- set hundreds = namespace(codes=[]) -%}
    {%- for digit in range(1, 10) -%}
        {%- set hundreds.codes = hundreds.codes + [('U' ~ digit ~ 'X', 'H' ~ digit ~ 'C')] -%}
    {%- endfor -%}
    {%- set meetings_of_millions = [
        ('CM', '00M'), ('YM', '0M'),
        ('M0', '0'), ('M,', 'M'), ('MA', 'M'), ('MU', '00'), ('MT', '01'), ('MD', '0'), ('MH', ''),
    ] -%}
    {%- set meetings = [
        ('CZ', '00'), ('CK', '00K'), ('CA', 'C'), ('CU', '0'), ('CT', '1'), ('CD', ''),
        ('YZ', '0'), ('YK', '0K'), ('YU', ''),
        ('KZ', '000'), ('K,', 'K'), ('KA', 'K'), ('KU', '00'), ('KT', '01'), ('KD', '0'), ('KH', ''),
        ('ST', '1'), ('SU', ''), ('SD', ''), ('SH', ''), ('Z', ''), ('N', '-'),
    ] -%}
    {%- set words = [
        ('S zeroZ', '0'), ('S minus ', 'NS '), ('S negative ', 'NS '), ('-', ' '),
        (' hundred', 'X'), (' thousand', 'K'), (' and', 'A'),
    ] -%}
    {%- set spaced = "'S ' || lower(" ~ text ~ ") || 'Z'" -%}
    {%- if millions -%}
        {%- set thousands_follow = 'strpos(' ~ text ~ ", ' thousand') > strpos(" ~ text ~ ", ' million')" -%}
        {%- set spaced = 'replace(' ~ spaced ~ ", ' million', case when " ~ thousands_follow ~ " then 'M' else 'M000K' end)" -%}
    {%- endif -%}
    {%- set codes = replace_each(encode_below_100(replace_each(spaced, words)), hundreds.codes) -%}
    {%- set codes = replace_each(codes, (meetings_of_millions if millions else []) + meetings) -%}
    {{ integer_or_null(codes, 9 if millions else 6) }}
{%- endmacro %}


{% macro integer_or_null(text, digits) -%}
    {#- jsonpath's `.decimal` is a cast that gives NULL instead of an error. To it, "1e3" is a number;
        here, that is a word with an e too many. -#}
    jsonb_path_query_first(
        jsonb_object(array['n', {{ replace_each(text, [('e', '!')]) }}]), '$.n.decimal({{ digits }})', '{}', true
    )::numeric
{%- endmacro %}


{% macro number_in_words(text) -%}
    {#- Everything else: the codes become a sum, and jsonpath is the calculator.

            minus two million, one hundred and twelve point five
            N S U2 M G, U1X A T2 P U5       sign, start, unit, million, next part, …, teen, point, unit
            -(2e6+112.5)
    -#}
    {%- set spaces = [
        ('\\t', ' '), ('\\n', ' '), ('\\r', ' '), ('\\f', ' '), ('\\v', ' '), ('\\u00a0', ' '),
        ('d,', 'd, '), ('n,', 'n, '), (' ', 'XY'), ('YX', ''), ('XY', ' '), (' ,', ','),
    ] -%}
    {%- set prefixes = [
        ('Sminus ', 'S-'), ('Snegative ', 'S-'), ('Splus ', 'S+'), ('S−', 'S-'), ('S-', 'NS'), ('S+', 'BS'),
        ('S€', 'S$'), ('S£', 'S$'), ('Susd ', 'S$'), ('Seur ', 'S$'), ('Sgbp ', 'S$'), ('S$', 'FS'),
        ('S−', 'NS'), ('S-', 'NS'), ('S+', 'BS'), ('S ', 'S'), ('S', 'S '), ('-', ' '),
    ] -%}
    {%- set scales = [
        (' hundred', 'X'), (' thousand', 'KG'), (' million', 'MG'), (' billion', 'HG'), (' trillion', 'VG'),
        (' quadrillion', 'QG'), (' quintillion', 'ZG'),
    ] -%}
    {%- set others = [
        (' fourty', 'D4Y'), (' zero', 'O'), (' point', 'P'), (' half', 'E'),
        (' dollar', 'J'), (' euro', 'J'), (' pound', 'J'), (' usd', 'J'), (' eur', 'J'), (' gbp', 'J'),
        (' cent', 'I'), (' pence', 'I'), (' penny', 'I'), (' and', 'A'), (' an', 'W'), (' a', 'W'),
        ('S ', 'SR'), (' ', 'L'),
    ] -%}
    {%- set meetings = [
        ('YU', ''), ('Y', '0'), ('SX', 'SU1X'), ('XAU', 'XU'), ('XAT', 'XT'), ('XAD', 'XD'),
        ('XU', 'YC'), ('XT', 'Y1'), ('XD', 'Y'), ('X', 'YCC'),
    ] -%}
    {%- set terms = [
        ('EW', 'E'), ('WE', 'E'), ('U1E', 'E'), ('E', '.5'), ('L0', 'L'),
        ('K', 'e3+'), ('M', 'e6+'), ('H', 'e9+'), ('V', 'e12+'), ('Q', 'e15+'), ('Z', 'e18+'),
        ('J', '+'), ('I', 'e-2'), ('S', '('),
    ] -%}
    {%- set spaced = replace_each("'S' || btrim(" ~ replace_each('lower(' ~ text ~ ')', spaces) ~ ')', prefixes) -%}
    {#- A digit that touches the word before it is no number. -#}
    {%- set spaced = 'regexp_replace(' ~ spaced ~ ", '[a-z][0-9]', '!')" -%}
    {%- set codes = replace_each(encode_below_100(replace_each(spaced, scales + others[:1])), others[1:]) -%}
    {#- Digits after "hundred" are units or tens, like words there. -#}
    {%- set codes = 'regexp_replace(' ~ codes ~ ", 'X(A?)L([1-9])(?![0-9.,])', 'X\\1U\\2')" -%}
    {%- set codes = 'regexp_replace(' ~ codes ~ ", 'X(A?)L([1-9][0-9])(?![0-9.,])', 'X\\1D\\2')" -%}
    {#- All of it or NULL. As a constraint the grammar is run once, as a pattern to cut out it is run twice. -#}
    {%- set valid = 'substring(' ~ replace_each(codes, meetings) ~ " from '^(?=" ~ grammar_of_codes() ~ "$).*')" -%}
    {%- set sum = 'translate(' ~ replace_each(valid, terms) ~ ", 'TOPWNCABDFGLRUY,s', '10.1-0') || ')'" -%}
    jsonb_path_query_first(
        '0', {{ replace_each(sum, [('(e', '(1e'), ('++', '+'), ('+)', ')')]) }}::jsonpath
    )::numeric
{%- endmacro %}


{% macro grammar_of_codes() -%}
    {%- set part = '(?:[UDLR][1-9](?:[0-9]{0,2}|Y[0-9C]{2})|T[0-9]|WY[0-9C]{2})' -%}
    {%- set of_four_digits = '(?:[UDLR][1-9][0-9]Y[0-9C]{2}|T[0-9]Y[0-9C]{2}|[LR][1-9][0-9]{3})' -%}
    {%- set next = '(?:S|G,?A?)' -%}
    {%- set before_scale = '(?:' ~ next ~ part ~ '|SW?)' -%}
    {%- set point = 'P(?:U[1-9]|O)+' -%}
    {%- set half = '(?:W|U1)?E' -%}
    {%- set digits = 'R(?:(?:0|[1-9][0-9]*|[1-9][0-9]{0,2}(?:,[0-9]{3})+)(?:[.][0-9]+)?|[.][0-9]+)' -%}
    {%- set scale = '[KMHVQZ]G' -%}
    {%- set cents = '(?:[UDL][1-9][0-9]?|T[0-9]|O|L0[0-9])Is?' -%}
    (?:[NB]?F?|F[NB])(?:(?:
    {%- for scale in 'ZQVHM' %}(?:{{ before_scale }}{{ scale }})?{% endfor -%}
    (?:{{ before_scale }}K(?:{{ next }}{{ part }})?|{{ next }}(?:{{ part }}|{{ of_four_digits }}))?
    {#- -#}
    (?:A{{ half }}|G?(?:{{ point }})?)
    {#- -#}
    |S(?:O|(?:(?:{{ part }}|O)?{{ point }}|{{ part }}A{{ half }}|{{ half }}|{{ digits }})(?:{{ scale }})?|{{ half }}W(?:{{ scale }}|(?=J))|W(?=J))
    {#- -#}
    )(?:Js?(?:,?A?{{ cents }})?)?|S(?:{{ part }}|O|W)Is?)
{%- endmacro %}


{% macro encode_below_100(expression) -%}
    {%- set words = [
        (' ten', 'T0'), (' eleven', 'T1'), (' twelve', 'T2'), (' thirteen', 'T3'), (' fourteen', 'T4'),
        (' fifteen', 'T5'), (' sixteen', 'T6'), (' seventeen', 'T7'), (' eighteen', 'T8'), (' nineteen', 'T9'),
        (' twenty', 'D2Y'), (' thirty', 'D3Y'), (' forty', 'D4Y'), (' fifty', 'D5Y'), (' sixty', 'D6Y'),
        (' seventy', 'D7Y'), (' eighty', 'D8Y'), (' ninety', 'D9Y'),
    ] -%}
    {{ encode_units(replace_each(expression, words)) }}
{%- endmacro %}


{% macro encode_units(expression) -%}
    {%- set words = [
        (' one', 'U1'), (' two', 'U2'), (' three', 'U3'), (' four', 'U4'), (' five', 'U5'), (' six', 'U6'),
        (' seven', 'U7'), (' eight', 'U8'), (' nine', 'U9'),
    ] -%}
    {{ replace_each(expression, words) }}
{%- endmacro %}


{% macro replace_each(expression, pairs) -%}
    {%- for pair in pairs %}replace({% endfor -%}
    {{ expression }}
    {%- for from, to in pairs %}, {{ 'E' if '\\' in from }}'{{ from }}', '{{ to }}'){% endfor -%}
{%- endmacro %}
