package clavicle.ui.kit

import androidx.compose.foundation.Canvas
import androidx.compose.foundation.layout.size
import androidx.compose.runtime.Composable
import androidx.compose.runtime.Immutable
import androidx.compose.runtime.remember
import androidx.compose.ui.Modifier
import androidx.compose.ui.geometry.Offset
import androidx.compose.ui.graphics.Color
import androidx.compose.ui.graphics.StrokeCap
import androidx.compose.ui.graphics.StrokeJoin
import androidx.compose.ui.graphics.drawscope.Stroke
import androidx.compose.ui.graphics.drawscope.withTransform
import androidx.compose.ui.graphics.vector.PathParser
import androidx.compose.ui.platform.LocalDensity
import androidx.compose.ui.platform.LocalLayoutDirection
import androidx.compose.ui.unit.Dp
import androidx.compose.ui.unit.LayoutDirection
import androidx.compose.ui.unit.dp

/** A small drawing of lines, on a square of 24. It always stands beside words, so it says nothing to a screen reader. */
@Immutable
class Sign(val lines: String, val turns: Boolean = false)

object Signs {
    val back = Sign("M19 12 H5 M11 6 L5 12 L11 18", turns = true)
    val onward = Sign("M9 6 L15 12 L9 18", turns = true)
    val close = Sign("M6 6 L18 18 M18 6 L6 18")
    val done = Sign("M5 12.5 L10 17.5 L19 7")
    val care = Sign("M12 4 L21.5 20 H2.5 Z M12 10 V14.5 M12 17.2 V17.3")
    val told = Sign("M12 3 A9 9 0 1 1 11.99 3 Z M12 11 V16.5 M12 7.7 V7.8")
    val stop = Sign("M8.2 3 H15.8 L21 8.2 V15.8 L15.8 21 H8.2 L3 15.8 V8.2 Z M12 7.5 V13 M12 16.2 V16.3")
    val wait = Sign("M12 3 A9 9 0 1 1 11.99 3 Z M12 7 V12 L15.5 14")
    val key = Sign("M8 8.5 A4.5 4.5 0 1 1 7.99 8.5 Z M12 13 H22 M18.5 13 V17 M22 13 V16")
    val people = Sign("M9 5 A3.5 3.5 0 1 1 8.99 5 Z M2.5 20 C2.5 16 6 14.8 9 14.8 C12 14.8 15.5 16 15.5 20 M16 5.3 A3.5 3.5 0 0 1 16 11.8 M18 15.2 C20.4 15.8 21.5 17.6 21.5 20")
    val hospital = Sign("M4 21 V7 L12 3 L20 7 V21 M2.5 21 H21.5 M12 8 V14 M9 11 H15 M10 21 V17.5 H14 V21")
    val picture = Sign("M4 5 H20 V19 H4 Z M4 16 L9 11 L13 15 L15.5 12.5 L20 17 M15.5 8.6 V8.7")
    val scan = Sign("M4 8 V4 H8 M16 4 H20 V8 M20 16 V20 H16 M8 20 H4 V16 M8 8 H11 V11 H8 Z M13.5 8 H16 M8 13.5 V16 M13 13 H16 V16 H13")
    val lock = Sign("M6 11 H18 V20 H6 Z M8.5 11 V8 A3.5 3.5 0 0 1 15.5 8 V11 M12 14.5 V16.5")
    val phone = Sign("M7 2.5 H17 V21.5 H7 Z M11 18.7 H13")
    val words = Sign("M4 6 H20 M4 11 H20 M4 16 H14 M4 21 H11")
    val export = Sign("M12 15 V3.5 M7.5 8 L12 3.5 L16.5 8 M5 13 V20.5 H19 V13")
    val letter = Sign("M3 6 H21 V18.5 H3 Z M3 7 L12 13.5 L21 7")
    val card = Sign("M3 6 H21 V18 H3 Z M8 9.5 A1.8 1.8 0 1 1 7.99 9.5 Z M5.5 15.5 C6 13.8 10 13.8 10.5 15.5 M13.5 10 H18 M13.5 14 H17")
}

/** Draws [sign]; one that points somewhere turns with the direction of reading. */
@Composable
fun Drawn(sign: Sign, color: Color, modifier: Modifier = Modifier, size: Dp = 24.dp, weight: Float = 1.9f) {
    val path = remember(sign) { PathParser().parsePathString(sign.lines).toPath() }
    val mirrored = sign.turns && LocalLayoutDirection.current == LayoutDirection.Rtl
    // It grows with the text beside it, though not as far.
    val large = LocalDensity.current.fontScale.coerceIn(1f, 1.5f)
    Canvas(modifier.size(size * large)) {
        val unit = this.size.minDimension / 24f
        withTransform({
            if (mirrored) translate(left = this.size.width)
            scale(if (mirrored) -unit else unit, unit, Offset.Zero)
        }) {
            drawPath(path, color, style = Stroke(weight, cap = StrokeCap.Round, join = StrokeJoin.Round))
        }
    }
}
