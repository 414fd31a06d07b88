"""The checks of the other tests here find what they are to find."""

from orchestration.report.browser import visit

BAD = """<!doctype html><title>Bad</title>
<img src="http://127.0.0.1:9/picture.png"><div style="width: 3000px">wide</div>
<script>console.error("a complaint"); undefined_thing();</script>
"""


def test_what_is_wrong_with_a_page_is_found(browser, tmp_path):
    (tmp_path / "bad.html").write_text(BAD)
    with visit(browser, (tmp_path / "bad.html").as_uri()) as bad:
        assert "a complaint" in bad.complaints
        assert any("undefined_thing" in complaint for complaint in bad.complaints)
        assert bad.requests == ["http://127.0.0.1:9/picture.png"]
        assert {"image-alt", "html-has-lang"} <= set(bad.faults())
        assert bad.overflow() > 1000
